//! Conversations as prompts, by a chat template.

use super::{Failure, inputs::Base};
use adamole::chat::{ChatError, ChatTemplates, Conversation, RenderOptions};

/// The text of a conversation up to its next answer.
///
/// # Errors
/// The template refuses the conversation.
pub(crate) fn render_prompt(templates: &ChatTemplates, conversation: &Conversation) -> Result<String, ChatError> {
    let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
    Ok(templates.for_conversation(conversation)?.render(conversation, &options)?.text)
}

impl Base {
    /// The token ids of a rendered conversation, all of which are in the model's vocabulary.
    pub(crate) fn encode_rendered(&self, text: &str) -> Result<Vec<u32>, Failure> {
        let ids = self.tokenizer.encode_rendered(text)?;
        self.model.check_tokens(&ids)?;
        Ok(ids)
    }

    /// The tokens that end an answer: those that end a text, and the special token that the template writes after an answer.
    /// A base that was made for another template does not name the latter.
    pub(crate) fn answer_end_tokens(&self, templates: &ChatTemplates) -> Result<Vec<u32>, Failure> {
        let mut ends = self.end_tokens()?;
        ends.extend(self.end_of_turn(templates)?);
        Ok(ends)
    }

    fn end_of_turn(&self, templates: &ChatTemplates) -> Result<Option<u32>, Failure> {
        const ANSWER: &str = "1";
        let example = Conversation::of_texts([("user", "0"), ("assistant", ANSWER)]);
        let template = templates.for_conversation(&example)?;
        // A template that refuses the example, or does not tell an answer from the rest, says nothing about its end.
        let Ok(found) = template.assistant_spans(&example, &RenderOptions::default()) else { return Ok(None) };
        let answer = found.spans.last().map(|span| &found.text[span.clone()]);
        let Some((_, end)) = answer.and_then(|answer| answer.rsplit_once(ANSWER)) else { return Ok(None) };
        let first = self.tokenizer.encode_rendered(end.trim_start())?.first().copied();
        Ok(first.filter(|id| self.tokenizer.is_special(*id)))
    }
}
