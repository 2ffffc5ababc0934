//! Errors of reading and rendering chat templates.

use std::{io, path::PathBuf};

/// An error of this crate: which template, message or file it is about, and what was expected.
///
/// `name` is the name of a template, `message` the index of a message, counted from 0, and `line` a line of the template,
/// counted from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "described once, above")]
pub enum ChatError {
    #[error("{}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },

    #[error("{}: {source}", .path.display())]
    Json { path: PathBuf, source: serde_json::Error },

    #[error("{}: `{field}` is {found}, expected {expected}", .path.display())]
    Field { path: PathBuf, field: String, found: String, expected: &'static str },

    /// A model folder without a chat template.
    #[error(
        "{} has no chat template: neither chat_template.jinja nor `chat_template` in tokenizer_config.json",
        .folder.display()
    )]
    NoTemplate { folder: PathBuf },

    /// Several named templates, of which none is the default.
    #[error("none of the chat templates is called `default`; there are {}", .names.join(", "))]
    NoDefault { names: Vec<String> },

    #[error("there is no chat template `{name}`; there are {}", .known.join(", "))]
    UnknownTemplate { name: String, known: Vec<String> },

    #[error("chat template `{name}`, line {line}: {message}")]
    Syntax { name: String, line: usize, message: String },

    /// The template itself refuses the conversation, by `raise_exception`.
    #[error("the chat template refuses the conversation: {message}")]
    Raised { message: String },

    /// An operation of the template that has no result for this conversation.
    #[error("chat template `{name}`{}: {message}", .line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Render { name: String, line: Option<usize>, message: String },

    #[error(transparent)]
    Conversation(#[from] ConversationError),

    /// A generation block whose text is not where the block is: it is within a macro, a `set` block or a filter.
    #[error(
        "chat template `{name}`: the text of a generation block is not found at byte {at} of the rendering, where the block \
         was; it is within a macro, a set block or a filter"
    )]
    MisplacedGeneration { name: String, at: usize },

    /// What comes before an answer cannot be told from the answer, since the beginning of the conversation is rendered in
    /// another way than within the whole.
    #[error(
        "chat template `{name}`: the span of message {message} is not known: the conversation {part} is rendered in another \
         way than within the whole, from byte {at} on"
    )]
    NotAPrefix { name: String, message: usize, part: PrefixPart, at: usize },

    /// The beginning of the conversation cannot be rendered on its own.
    #[error(
        "chat template `{name}`: the span of message {message} is not known: the conversation {part} cannot be rendered: {source}"
    )]
    PrefixRefused { name: String, message: usize, part: PrefixPart, source: Box<ChatError> },
}

/// A beginning of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixPart {
    /// The messages before an answer, with the prompt for it.
    Before,
    /// The messages up to an answer, with it.
    Through,
}

impl std::fmt::Display for PrefixPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Before => "before it",
            Self::Through => "up to its end",
        })
    }
}

/// What is wrong with a conversation. `message` and `index` are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "described once, above")]
pub enum ConversationError {
    #[error("`messages` is missing, expected an array of messages")]
    NoMessages,

    #[error("`{field}` is {found}, expected an array of objects")]
    NotAList { field: &'static str, found: &'static str },

    #[error("`{field}[{index}]` is {found}, expected an object")]
    NotAnObject { field: &'static str, index: usize, found: &'static str },

    #[error("`messages[{message}]` has no `role`")]
    NoRole { message: usize },

    #[error("`role` of `messages[{message}]` is {found}, expected a string")]
    RoleNotText { message: usize, found: &'static str },
}
