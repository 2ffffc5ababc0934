//! The content of a row.

use super::fields::Fields;
use super::message::{JsonText, Message, messages, tools};
use super::shape::TextShape;
use super::{alpaca, share_gpt};
use crate::error::unexpected;
use crate::json::Json;
use crate::{Place, RowError};

/// A row of text data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRow {
    /// What it holds.
    pub content: TextContent,
    /// The place that it was read from.
    pub origin: Place,
}

/// What a row of text data holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TextContent {
    /// A conversation, which a chat template turns into a text.
    Conversation {
        /// The messages: at least one.
        messages: Vec<Message>,
        /// The tools that the assistant may call.
        tools: Option<Vec<JsonText>>,
        /// How many of the first messages are a prompt, in a row of [`TextShape::ConversationalCompletion`].
        prompt_messages: Option<usize>,
    },
    /// A prompt and how it goes on.
    Completion {
        /// The prompt, which may be empty.
        prompt: String,
        /// What follows it, without anything between the two.
        completion: String,
    },
    /// A text.
    Text(String),
}

impl TextContent {
    /// The content of a row of this shape.
    ///
    /// # Errors
    ///
    /// [`RowError`] with the field, and what was expected and found.
    pub(super) fn read(row: &Fields<'_>, shape: TextShape) -> Result<Self, RowError> {
        let conversation = |messages, tools| Self::Conversation { messages, tools, prompt_messages: None };
        let the_tools = || tools(row.value("tools"), row.column("tools"));
        let content = match shape {
            TextShape::Text => Self::Text(row.text("text")?.into()),
            TextShape::Completion => {
                Self::Completion { prompt: row.text("prompt")?.into(), completion: row.text("completion")?.into() }
            }
            TextShape::ConversationalCompletion => {
                let part = |field| match row.required(field)? {
                    list @ Json::List(_) => messages(list, row.column(field)),
                    other => Err(other.unexpected(row.column(field), "a list of messages")),
                };
                let (mut all, completion) = (part("prompt")?, part("completion")?);
                let prompt_messages = Some(all.len());
                all.extend(completion);
                Self::Conversation { messages: all, tools: the_tools()?, prompt_messages }
            }
            TextShape::Conversation => {
                conversation(messages(row.required("messages")?, row.column("messages"))?, the_tools()?)
            }
            TextShape::ShareGpt => conversation(share_gpt::messages(row)?, the_tools()?),
            TextShape::Alpaca => conversation(alpaca::messages(row)?, None),
        };
        match &content {
            Self::Conversation { messages, .. } if messages.is_empty() => {
                let field = shape.required_fields().first().copied().unwrap_or_default();
                Err(unexpected(row.column(field), "at least one message", "an empty list"))
            }
            _ => Ok(content),
        }
    }

    /// The messages that a model is to write: those of the assistant, after the prompt if there is one.
    pub(super) fn written(&self) -> impl Iterator<Item = &Message> {
        let (messages, prompt_messages) = match self {
            Self::Conversation { messages, prompt_messages, .. } => (messages.as_slice(), *prompt_messages),
            _ => (&[][..], None),
        };
        messages.iter().skip(prompt_messages.unwrap_or(0)).filter(|message| message.is_assistant())
    }

    /// Whether there is nothing in it to learn: the text, the completion, or all that the assistant says, is empty but for spaces.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Completion { completion: text, .. } => text.trim().is_empty(),
            Self::Conversation { messages, .. } => match self.written().next() {
                Some(_) => self.written().all(Message::is_blank),
                None => messages.iter().all(Message::is_blank),
            },
        }
    }
}
