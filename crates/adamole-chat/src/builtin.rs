//! Templates of this crate's own, for bases whose tokenizer has none.

use crate::{ChatError, ChatTemplate};

/// A template of this crate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// What it looks like, in a line.
    pub help: &'static str,
    source: &'static str,
}

/// All of them.
pub const BUILT_IN: [BuiltIn; 3] = [
    BuiltIn {
        name: "chatml",
        help: "<|im_start|>role, the content and <|im_end|>",
        source: include_str!("../templates/chatml.jinja"),
    },
    BuiltIn {
        name: "alpaca",
        help: "### Instruction:, perhaps ### Input:, and ### Response:",
        source: include_str!("../templates/alpaca.jinja"),
    },
    BuiltIn {
        name: "plain",
        help: "lines with User: and Assistant:, for bases without special tokens",
        source: include_str!("../templates/plain.jinja"),
    },
];

impl BuiltIn {
    /// The template.
    ///
    /// # Errors
    /// None: that each can be read is tested.
    pub fn template(&self) -> Result<ChatTemplate, ChatError> {
        ChatTemplate::from_source(self.source, self.name)
    }

    /// Its text.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// The template of a name.
    pub fn named(name: &str) -> Option<Self> {
        BUILT_IN.into_iter().find(|template| template.name == name)
    }
}
