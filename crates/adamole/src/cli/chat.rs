//! The chat template of a command: of a model, of a file, or built in.

use super::{Failure, fetching::tokenizer_folder};
use adamole::chat::{BUILT_IN, BuiltIn, ChatError, ChatTemplate, ChatTemplates, SpecialTokens};
use clap::Args;
use std::{path::Path, sync::LazyLock};

#[derive(Args)]
pub(crate) struct ChatTemplateFlag {
    #[arg(long = "template", visible_alias = "chat-template", value_name = "FILE|NAME", help = HELP.as_str())]
    template: Option<String>,
}

static HELP: LazyLock<String> = LazyLock::new(|| {
    format!("Chat template in place of the model's: a file, or one of the built-in ones: {}", built_in())
});

impl ChatTemplateFlag {
    /// Whether a template is named.
    pub(crate) fn is_given(&self) -> bool {
        self.template.is_some()
    }

    /// The template of the flag, else those of a model; both with the special tokens of the model.
    pub(crate) fn open(&self, model: Option<&str>) -> Result<ChatTemplates, Failure> {
        let folder = model.map(tokenizer_folder).transpose()?;
        templates(self.template.as_deref(), folder.as_deref())
    }
}

/// The template of a file or a built-in one, else those of the model in a folder; both with the special tokens of the model.
pub(crate) fn templates(template: Option<&str>, model: Option<&Path>) -> Result<ChatTemplates, Failure> {
    let Some(template) = template else {
        let folder = model.ok_or_else(|| Failure::Usage("--model or --template is needed".into()))?;
        return Ok(ChatTemplates::from_model_folder(folder)?);
    };
    let template = match BuiltIn::named(template) {
        Some(built_in) => built_in.template()?,
        None => read(Path::new(template))?,
    };
    let tokens = model.map_or(Ok(SpecialTokens::default()), SpecialTokens::from_model_folder)?;
    Ok(ChatTemplates::of(template.with_special_tokens(tokens)))
}

fn read(path: &Path) -> Result<ChatTemplate, Failure> {
    let source = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "--template {} is neither one of {} nor a file that can be read: {error}",
            path.display(),
            built_in()
        ))
    })?;
    Ok(ChatTemplate::from_source(&source, &path.display().to_string())?)
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
