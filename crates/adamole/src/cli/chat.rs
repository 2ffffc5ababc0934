//! The chat template of a command: of a model, of a file, or built in.

use super::{
    Failure,
    fetching::{adapter_folder, tokenizer_folder},
    headings,
};
use adamole::chat::{BUILT_IN, BuiltIn, ChatError, ChatTemplate, ChatTemplates, SpecialTokens};
use clap::Args;
use std::{path::Path, sync::LazyLock};

#[derive(Args)]
#[command(next_help_heading = headings::PROMPT)]
pub(crate) struct ChatTemplateFlag {
    #[arg(long = "template", visible_alias = "chat-template", value_name = "FILE|NAME", help = HELP.as_str())]
    template: Option<String>,
}

static HELP: LazyLock<String> =
    LazyLock::new(|| format!("Chat template: a file, or built in: {} [the model's]", built_in()));

impl ChatTemplateFlag {
    /// Whether a template is named.
    pub(crate) fn is_given(&self) -> bool {
        self.template.is_some()
    }

    /// The template that is named.
    pub(crate) fn name(&self) -> Option<&str> {
        self.template.as_deref()
    }

    /// The template of the flag, else that of an adapter, else those of a model; all with the special tokens of the model.
    pub(crate) fn open(&self, adapter: Option<&str>, model: Option<&str>) -> Result<ChatTemplates, Failure> {
        let folder = model.map(tokenizer_folder).transpose()?;
        templates(self.template.as_deref(), adapter, folder.as_deref())
    }
}

/// The file of an adapter that was trained with a template other than its base's.
pub(crate) const OF_ADAPTER: &str = "chat_template.jinja";

/// The text of a template: a file, or a built-in one.
pub(crate) fn source(template: &str) -> Result<String, Failure> {
    BuiltIn::named(template).map_or_else(|| text_of(Path::new(template)), |it| Ok(it.source().to_owned()))
}

/// The template of a file or a built-in one, else that of an adapter, else those of the model in a folder; all with the
/// special tokens of the model.
pub(crate) fn templates(
    template: Option<&str>,
    adapter: Option<&str>,
    model: Option<&Path>,
) -> Result<ChatTemplates, Failure> {
    let of_adapter = match (template, adapter) {
        (None, Some(adapter)) => Some(adapter_folder(adapter)?.join(OF_ADAPTER)).filter(|path| path.is_file()),
        _ => None,
    };
    let template = match (template.and_then(BuiltIn::named), template.map(Path::new).or(of_adapter.as_deref())) {
        (Some(built_in), _) => built_in.template()?,
        (None, Some(path)) => ChatTemplate::from_source(&text_of(path)?, &path.display().to_string())?,
        (None, None) => {
            let folder = model.ok_or_else(|| Failure::Usage("--model or --template is needed".into()))?;
            return Ok(ChatTemplates::from_model_folder(folder)?);
        }
    };
    let tokens = model.map_or(Ok(SpecialTokens::default()), SpecialTokens::from_model_folder)?;
    Ok(ChatTemplates::of(template.with_special_tokens(tokens)))
}

fn text_of(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "--template {} is neither one of {} nor a file that can be read: {error}",
            path.display(),
            built_in()
        ))
    })
}

fn built_in() -> String {
    BUILT_IN.map(|template| template.name).join(", ")
}

/// The remedy for an error of a chat template.
pub(crate) fn chat_hint(error: &ChatError) -> Option<String> {
    let hint = match error {
        ChatError::NoTemplate { .. } => {
            format!("give --chat-template FILE, or one of the built-in ones: {}", built_in())
        }
        ChatError::NoDefault { .. } | ChatError::UnknownTemplate { .. } => {
            "write the template that is wanted to a file, and give --chat-template FILE".into()
        }
        ChatError::Syntax { .. } => {
            format!("mend the template, or give another one with --chat-template: {}", built_in())
        }
        ChatError::NotAPrefix { .. } | ChatError::PrefixRefused { .. } => {
            "use a template that marks answers with {% generation %} blocks".into()
        }
        ChatError::MisplacedGeneration { .. } => "write the generation block outside of it".into(),
        _ => return None,
    };
    Some(hint)
}
