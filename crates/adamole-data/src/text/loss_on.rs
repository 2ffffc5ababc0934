//! The part of a row that is learnt.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use super::message::Message;
use crate::error::{DataError, unknown_name};

/// The part of a row whose tokens have a loss. A row that is one text has a loss on all of it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display, EnumString, VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = DataError, parse_err_fn = unknown_name::<Self>)]
pub enum LossOn {
    /// The completion; of a conversation the last message of the assistant, or the messages of the assistant after the prompt.
    #[default]
    Completion,
    /// All messages of the assistant; of a prompt and a completion the completion.
    Assistant,
    /// The whole text.
    All,
}

impl LossOn {
    /// The indices of the messages of a conversation that have a loss, in ascending order. `prompt_messages` is that of
    /// [`TextContent::Conversation`](crate::text::TextContent::Conversation).
    pub fn messages(self, messages: &[Message], prompt_messages: Option<usize>) -> Vec<usize> {
        let assistant = || (0..messages.len()).filter(|&i| messages[i].is_assistant());
        match (self, prompt_messages) {
            (Self::All, _) => (0..messages.len()).collect(),
            (Self::Assistant, _) => assistant().collect(),
            (Self::Completion, Some(prompt)) => assistant().filter(|&i| i >= prompt).collect(),
            (Self::Completion, None) => assistant().next_back().into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_its_messages() {
        let roles = ["system", "user", "assistant", "user", "assistant", "tool", "assistant", "user"];
        let messages = roles.map(|role| Message::of(role, "x"));
        let of = |loss_on: LossOn, prompt| loss_on.messages(&messages, prompt);
        assert_eq!(of(LossOn::All, None), (0..8).collect::<Vec<_>>());
        assert_eq!(of(LossOn::Assistant, None), [2, 4, 6]);
        assert_eq!(of(LossOn::Assistant, Some(3)), [2, 4, 6]);
        assert_eq!(of(LossOn::Completion, None), [6]);
        assert_eq!(of(LossOn::Completion, Some(4)), [4, 6]);
        assert!(of(LossOn::Completion, Some(7)).is_empty());
        assert!(LossOn::Completion.messages(&[], None).is_empty());
        for loss_on in [LossOn::Completion, LossOn::Assistant, LossOn::All] {
            assert_eq!(loss_on.to_string().parse::<LossOn>().unwrap(), loss_on);
        }
        let error = "prompt".parse::<LossOn>().unwrap_err().to_string();
        assert_eq!(error, "unknown name `prompt`; known: completion, assistant, all");
    }
}
