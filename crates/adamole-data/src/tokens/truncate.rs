//! Making a prompt fit: what is cut, and what never is.

use std::ops::Range;

use crate::{DataError, Tokenizer};

/// A tokenised prompt. Its tokens are the first ones of those of `text`.
pub(super) struct Prompt<'a> {
    pub(super) text: &'a str,
    pub(super) ids: Vec<u32>,
    /// How many of the ids stand before the text.
    pub(super) leading: usize,
    /// The bytes of the text that may be cut.
    pub(super) passage: Option<&'a Range<usize>>,
}

impl Prompt<'_> {
    /// The ids with at most `room` of the text's tokens, and whether any had to go.
    ///
    /// The end of the passage goes first. What then is still too much goes from the front of the text: its end, where
    /// the choices are, stays.
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

/// Those of `tokens` that stand for bytes of the passage alone. A token that also stands for a space before the
/// passage is none of them.
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
