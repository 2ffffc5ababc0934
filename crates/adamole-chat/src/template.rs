//! One chat template: its rendering, and what of it the model is to produce.

use crate::{
    ChatError, Conversation, SpecialTokens,
    data::{Data, Record, record_value},
    functions::{self, GenerationBlocks, Raised},
    python, syntax,
};
use chrono::NaiveDateTime;
use minijinja::{Environment, Value, syntax::SyntaxConfig};
use std::{ops::Range, sync::Arc};

/// How a conversation is rendered.
#[derive(Clone, Debug, Default)]
pub struct RenderOptions {
    /// Whether the rendering ends with what comes before an answer.
    pub add_generation_prompt: bool,
    /// Further variables of the template. One of a special token's name takes its place.
    pub variables: Record,
    /// Special tokens in place of those of the template's tokenizer.
    pub special_tokens: Option<SpecialTokens>,
    /// What `strftime_now` takes for the present; the local time without it.
    pub now: Option<NaiveDateTime>,
}

/// A conversation as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The bytes of `text` that the template's generation blocks wrote, in the order in which the blocks ended; none where
    /// the template has no such blocks. A block within a macro, a `set` block or a filter has the place of the tag that
    /// called it, as in transformers.
    pub generated: Option<Vec<Range<usize>>>,
}

/// A chat template, ready to render conversations as transformers' `apply_chat_template` does.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    name: String,
    engine: Arc<Environment<'static>>,
    has_generation: bool,
    special_tokens: SpecialTokens,
}

impl ChatTemplate {
    /// Reads a template. `name` stands in messages.
    ///
    /// # Errors
    /// The template has an error of syntax.
    pub fn from_source(source: &str, name: &str) -> Result<Self, ChatError> {
        let syntax = |line, message| ChatError::Syntax { name: name.into(), line, message };
        let translated = syntax::translate(source).map_err(|error| syntax(error.line, error.message))?;
        let mut engine = Environment::new();
        let whitespace = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        engine.set_syntax(whitespace.map_err(|error| syntax(0, error.to_string()))?);
        engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        python::install(&mut engine);
        functions::install(&mut engine);
        engine
            .add_template_owned(TEMPLATE, translated.source)
            .map_err(|error| syntax(error.line().unwrap_or(0), error.detail().unwrap_or("it cannot be read").into()))?;
        Ok(Self {
            name: name.into(),
            engine: Arc::new(engine),
            has_generation: translated.has_generation,
            special_tokens: SpecialTokens::default(),
        })
    }

    /// The same template with the special tokens of a tokenizer.
    pub fn with_special_tokens(self, special_tokens: SpecialTokens) -> Self {
        Self { special_tokens, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The special tokens that its renderings have unless others are given.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special_tokens
    }

    /// Whether it marks what the model is to produce, by `{% generation %}` blocks.
    pub fn has_generation_blocks(&self) -> bool {
        self.has_generation
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// The template refuses the conversation, or an operation in it has no result.
    pub fn render(&self, conversation: &Conversation, options: &RenderOptions) -> Result<Rendered, ChatError> {
        self.render_blocks(conversation, options).map(|(rendered, _)| rendered)
    }

    /// Renders a conversation; the second part are the texts of the generation blocks.
    pub(crate) fn render_blocks(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> Result<(Rendered, Vec<Arc<str>>), ChatError> {
        let blocks = GenerationBlocks::default();
        let mut writer = blocks.writer();
        let template = self.engine.get_template(TEMPLATE).map_err(|error| self.error(&error))?;
        let variables = self.variables(conversation, options, &blocks);
        template.render_captured_to(variables, &mut writer).map_err(|error| self.error(&error))?;
        let text = writer.into_text();
        let (spans, texts) = blocks.found(&text);
        Ok((Rendered { text, generated: self.has_generation.then_some(spans) }, texts))
    }

    /// What the template sees; a variable of the options comes before others of its name.
    fn variables(&self, conversation: &Conversation, options: &RenderOptions, blocks: &GenerationBlocks) -> Value {
        let records = |records: &[Record]| Value::from(records.iter().map(record_value).collect::<Vec<_>>());
        let optional = |list: &Option<Vec<Record>>| list.as_deref().map_or(Value::from(()), records);
        let mut variables = vec![
            ("strftime_now".to_owned(), functions::strftime_now(options.now)),
            (functions::GENERATION.to_owned(), blocks.function()),
        ];
        let special_tokens = options.special_tokens.as_ref().unwrap_or(&self.special_tokens);
        variables.extend(special_tokens.iter().map(|(name, text)| (name.to_owned(), Value::from(text))));
        variables.extend(options.variables.iter().map(|(name, value): (_, &Data)| (name.clone(), value.to_value())));
        variables.push(("messages".into(), records(conversation.messages())));
        variables.push(("tools".into(), optional(&conversation.tools)));
        variables.push(("documents".into(), optional(&conversation.documents)));
        variables.push(("add_generation_prompt".into(), Value::from(options.add_generation_prompt)));
        Value::from_pairs(variables)
    }

    fn error(&self, error: &minijinja::Error) -> ChatError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut innermost = error;
        while let Some(source) = cause {
            if let Some(Raised(message)) = source.downcast_ref() {
                return ChatError::Raised { message: message.clone() };
            }
            innermost = source.downcast_ref().unwrap_or(innermost);
            cause = source.source();
        }
        let message = innermost.detail().map_or_else(|| innermost.kind().to_string(), str::to_owned);
        ChatError::Render { name: self.name.clone(), line: innermost.line().or(error.line()), message }
    }
}

/// The name of the one template of an engine.
const TEMPLATE: &str = "chat";
