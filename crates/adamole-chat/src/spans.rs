//! What of a conversation the model is to produce.

use crate::{ChatError, ChatTemplate, Conversation, PrefixPart, RenderOptions, Rendered};
use std::ops::Range;

/// How the spans of answers are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpansBy {
    /// By the template's `{% generation %}` blocks.
    Generation,
    /// By rendering the conversation up to each answer, without and with it.
    Prefixes,
}

/// A conversation as text, with the spans that the model is to produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssistantSpans {
    /// The rendering.
    pub text: String,
    /// The bytes of `text` that the model is to produce.
    pub spans: Vec<Range<usize>>,
    /// How they were found.
    pub found_by: SpansBy,
}

impl ChatTemplate {
    /// Renders a conversation and finds what the model is to produce: the spans of the template's generation blocks, or
    /// without such blocks a span for each message of the assistant.
    ///
    /// Without blocks, the span of an answer begins where the messages before it end, rendered with
    /// `add_generation_prompt`, and ends where the messages with it end, rendered without. Both renderings have to be
    /// beginnings of the whole one. What a template writes after an answer belongs to its span: the token that ends a turn,
    /// and also a line feed behind that token, as ChatML has it. A template that ends a turn only before the next one leaves
    /// the token out.
    ///
    /// # Errors
    /// [`ChatTemplate::render`]; [`ChatError::MisplacedGeneration`] for blocks whose place is not known; and
    /// [`ChatError::NotAPrefix`] or [`ChatError::PrefixRefused`] where a beginning is rendered in another way than within
    /// the whole, for example since the template drops the reasoning of earlier answers.
    pub fn assistant_spans(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> Result<AssistantSpans, ChatError> {
        let (Rendered { text, generated }, blocks) = self.render_blocks(conversation, options)?;
        let Some(spans) = generated else {
            let spans = self.spans_by_prefixes(conversation, options, &text)?;
            return Ok(AssistantSpans { text, spans, found_by: SpansBy::Prefixes });
        };
        let misplaced = spans.iter().zip(&blocks).find(|(span, block)| text[(*span).clone()] != ***block);
        match misplaced {
            Some((span, _)) => Err(ChatError::MisplacedGeneration { name: self.name().into(), at: span.start }),
            None => Ok(AssistantSpans { text, spans, found_by: SpansBy::Generation }),
        }
    }

    fn spans_by_prefixes(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
        whole: &str,
    ) -> Result<Vec<Range<usize>>, ChatError> {
        let end_of = |message: usize, part: PrefixPart| {
            let (length, add_generation_prompt) = match part {
                PrefixPart::Before => (message, true),
                PrefixPart::Through => (message + 1, false),
            };
            let options = RenderOptions { add_generation_prompt, ..options.clone() };
            let name = self.name().to_owned();
            match self.render(&conversation.beginning(length), &options) {
                Ok(Rendered { text, .. }) if whole.starts_with(&text) => Ok(text.len()),
                Ok(Rendered { text, .. }) => {
                    let at = text.bytes().zip(whole.bytes()).take_while(|(own, other)| own == other).count();
                    Err(ChatError::NotAPrefix { name, message, part, at })
                }
                Err(source) => Err(ChatError::PrefixRefused { name, message, part, source: Box::new(source) }),
            }
        };
        let span = |message| Ok(end_of(message, PrefixPart::Before)?..end_of(message, PrefixPart::Through)?);
        conversation.answers().map(span).collect()
    }
}
