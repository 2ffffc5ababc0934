#![doc = include_str!("../README.md")]

mod builtin;
mod conversation;
mod data;
mod error;
mod folder;
mod functions;
mod python;
mod spans;
mod special_tokens;
mod syntax;
mod template;

pub use builtin::{BUILT_IN, BuiltIn};
pub use chrono::NaiveDateTime;
pub use conversation::Conversation;
pub use data::{Data, Record};
pub use error::{ChatError, ConversationError, PrefixPart};
pub use folder::ChatTemplates;
pub use spans::{AssistantSpans, SpansBy};
pub use special_tokens::{SPECIAL_TOKENS, SpecialTokens};
pub use template::{ChatTemplate, RenderOptions, Rendered};
