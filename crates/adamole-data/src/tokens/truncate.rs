//! Truncation of a prompt.

use std::ops::Range;

use crate::{DataError, Tokenizer};

/// An encoded prompt, whose tokens are the first tokens of `text`.
pub(super) struct Prompt<'a> {
    pub(super) text: &'a str,
    pub(super) ids: Vec<u32>,
    /// The number of special tokens before the text.
    pub(super) leading: usize,
    /// The bytes of the text that may be cut.
    pub(super) passage: Option<&'a Range<usize>>,
}

impl Prompt<'_> {
    /// The ids with at most `room` tokens of the text, and whether any were cut.
    ///
    /// The end of the passage is cut first, then the start of the text. The end of the text, with the choices, is kept.
    pub(super) fn shorten(mut self, tokenizer: &Tokenizer, room: usize) -> Result<(Vec<u32>, bool), DataError> {
        let excess = (self.ids.len() - self.leading).saturating_sub(room);
        if excess == 0 {
            return Ok((self.ids, false));
        }
        let mut left = excess;
        if let Some(passage) = self.passage {
            let tokens = inside(passage, &tokenizer.spans(self.text)?, self.leading..self.ids.len());
            let cut = left.min(tokens.len());
            self.ids.drain(tokens.end - cut..tokens.end);
            left -= cut;
        }
        self.ids.drain(self.leading..self.leading + left);
        Ok((self.ids, true))
    }
}

/// The tokens that consist of bytes of the passage alone. A token that includes a space before the passage is not one of them.
fn inside(passage: &Range<usize>, spans: &[(usize, usize)], tokens: Range<usize>) -> Range<usize> {
    let is_inside = |token: &usize| {
        let Some((start, end)) = spans.get(*token) else { return false };
        passage.start <= *start && start < end && *end <= passage.end
    };
    let mut inside = tokens.clone().filter(is_inside);
    match (inside.next(), inside.next_back()) {
        (None, _) => tokens.start..tokens.start,
        (Some(first), last) => first..last.unwrap_or(first) + 1,
    }
}
