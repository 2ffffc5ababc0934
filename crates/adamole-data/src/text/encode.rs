//! Rows as token ids with the ranges that have a loss.

use std::ops::Range;

use rayon::prelude::*;

use super::content::{TextContent, TextRow};
use super::loss_on::LossOn;
use crate::tokens::{OwnTokens, Pieces};
use crate::{DataError, Tokenizer};

/// How text data is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEncodeOptions {
    /// The most tokens of a row; `usize::MAX` never truncates. Default 2048.
    pub max_tokens: usize,
    /// The part of a row that has a loss.
    pub loss_on: LossOn,
    /// Whether the end-of-sequence token follows a completion and a text. Default true.
    pub append_eos: bool,
}

impl Default for TextEncodeOptions {
    fn default() -> Self {
        Self { max_tokens: 2048, loss_on: LossOn::default(), append_eos: true }
    }
}

/// A row as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedText {
    /// The ids.
    pub ids: Vec<u32>,
    /// The ranges of indices in `ids` whose tokens are predicted, each from the tokens before it: in ascending order, without
    /// overlap, none of them empty. The first token is in none, as no token is before it.
    pub labelled: Vec<Range<usize>>,
    /// The index of the row among those that were encoded.
    pub row: usize,
    /// Whether tokens were cut from the end.
    pub truncated: bool,
}

impl TokenizedText {
    /// The number of tokens that are predicted.
    pub fn labels(&self) -> usize {
        self.labelled.iter().map(Range::len).sum()
    }
}

/// Encoded rows and the counts of what was done to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// The rows that have at least one label, in their order.
    pub texts: Vec<TokenizedText>,
    /// How many rows were truncated, with those that were dropped.
    pub truncated: usize,
    /// The indices of the rows that were dropped because no label is left of them.
    pub dropped: Vec<usize>,
    /// The indices of the rows whose prompt alone has other tokens than at the start of the whole text, because one token spans
    /// its end. A program that continues such a prompt begins from tokens which were not trained.
    pub spanned: Vec<usize>,
}

impl FromIterator<TokenizedText> for Encoded {
    /// Drops and counts the rows without labels.
    fn from_iter<I: IntoIterator<Item = TokenizedText>>(texts: I) -> Self {
        let mut encoded = Self::default();
        for text in texts {
            encoded.truncated += usize::from(text.truncated);
            match text.labelled.is_empty() {
                true => encoded.dropped.push(text.row),
                false => encoded.texts.push(text),
            }
        }
        encoded
    }
}

/// An encoder of text data.
///
/// **Prompt and completion** are encoded as one text, whose tokens are those that the tokenizer gives the text wherever it stands.
/// A token has a loss if it lies in the completion, wholly or in part: a token that spans the end of the prompt is the first one
/// with a loss. A prompt that ends in a space is the usual cause of such a token. At inference the prompt alone is encoded, and its
/// last tokens are then others; [`Encoded::spanned`] lists these rows. To encode the two apart would keep the prompt's tokens, but
/// train the completion on tokens that the tokenizer gives no text.
///
/// **Special tokens.** A prompt or text begins with the special tokens that the tokenizer's own rules put there; what they put at the
/// end is removed, and the end-of-sequence token is appended, unless the text ends with it. Rendered conversations have the
/// special tokens of their template and no others. A special token that is spelled out in a text is encoded as that token.
///
/// **Truncation.** A row of more than `max_tokens` tokens loses its end: it keeps the beginning, without which the rest has no context,
/// and its text has no end-of-sequence token. A row of which no label is left is dropped.
#[derive(Debug, Clone)]
pub struct TextEncoder<'a> {
    tokenizer: &'a Tokenizer,
    options: TextEncodeOptions,
    /// The special tokens before a text.
    leading: Vec<u32>,
    eos: Option<u32>,
}

impl<'a> TextEncoder<'a> {
    /// An encoder with this tokenizer.
    ///
    /// # Errors
    ///
    /// [`DataError::NoEndOfSequence`] if that token is to be appended and the tokenizer has none; [`DataError::TextTokens`] of fewer
    /// than two tokens, among which none could be predicted.
    pub fn new(tokenizer: &'a Tokenizer, options: &TextEncodeOptions) -> Result<Self, DataError> {
        if options.max_tokens < 2 {
            return Err(DataError::TextTokens(options.max_tokens));
        }
        let eos = match options.append_eos {
            true => Some(tokenizer.eos().ok_or(DataError::NoEndOfSequence)?),
            false => None,
        };
        let Pieces { mut ids, leading } = tokenizer.pieces("a")?;
        ids.truncate(leading);
        Ok(Self { tokenizer, options: options.clone(), leading: ids, eos })
    }

    /// Encodes rows that need no chat template, on all threads.
    ///
    /// # Errors
    ///
    /// The error of the first row that cannot be encoded: [`DataError::Tokenize`], or [`DataError::NotRendered`] of a conversation.
    pub fn encode(&self, rows: &[TextRow]) -> Result<Encoded, DataError> {
        let encode = |(index, row): (usize, &TextRow)| match &row.content {
            TextContent::Text(text) => Ok((self.text(index, text)?, false)),
            TextContent::Completion { prompt, completion } => self.completion_and_seam(index, prompt, completion),
            TextContent::Conversation { .. } => Err(DataError::NotRendered(row.origin.clone())),
        };
        let encoded: Vec<Result<_, DataError>> = rows.par_iter().enumerate().map(encode).collect();
        let encoded = encoded.into_iter().collect::<Result<Vec<(TokenizedText, bool)>, _>>()?;
        let spanned = encoded.iter().filter(|(_, spans)| *spans).map(|(text, _)| text.row).collect();
        Ok(Encoded { spanned, ..encoded.into_iter().map(|(text, _)| text).collect() })
    }

    /// Encodes a prompt and its completion, with a loss on the completion and the end-of-sequence token, or on all.
    ///
    /// # Errors
    ///
    /// [`DataError::Tokenize`].
    pub fn completion(&self, row: usize, prompt: &str, completion: &str) -> Result<TokenizedText, DataError> {
        self.completion_and_seam(row, prompt, completion).map(|(text, _)| text)
    }

    /// Also whether a token spans the end of the prompt.
    fn completion_and_seam(
        &self,
        row: usize,
        prompt: &str,
        completion: &str,
    ) -> Result<(TokenizedText, bool), DataError> {
        let text = format!("{prompt}{completion}");
        let tokens = self.tokenizer.own_tokens(&text)?;
        let spans_seam = !prompt.is_empty() && !tokens.ids.starts_with(&self.tokenizer.own_tokens(prompt)?.ids);
        let completion = prompt.len()..text.len();
        Ok((self.ended(row, tokens, &[completion]), spans_seam))
    }

    /// Encodes a text, with a loss on all of it.
    ///
    /// # Errors
    ///
    /// [`DataError::Tokenize`].
    pub fn text(&self, row: usize, text: &str) -> Result<TokenizedText, DataError> {
        let all = 0..text.len();
        Ok(self.ended(row, self.tokenizer.own_tokens(text)?, &[all]))
    }

    /// Encodes a conversation that a chat template has rendered, with a loss on every token that lies in one of `spans`, ranges of
    /// bytes in `text`, wholly or in part; or on all tokens with [`LossOn::All`].
    ///
    /// # Errors
    ///
    /// [`DataError::Tokenize`].
    pub fn rendered(&self, row: usize, text: &str, spans: &[Range<usize>]) -> Result<TokenizedText, DataError> {
        let tokens = self.tokenizer.own_tokens(text)?;
        let labelled = self.labelled(&tokens, spans);
        Ok(self.truncated(row, tokens.ids, labelled))
    }

    /// The ranges of tokens with a loss, where `wanted` are the ranges of bytes that are to have one.
    fn labelled(&self, OwnTokens { ids, spans }: &OwnTokens, wanted: &[Range<usize>]) -> Vec<Range<usize>> {
        let all = 0..ids.len();
        match self.options.loss_on {
            LossOn::All => vec![all],
            LossOn::Completion | LossOn::Assistant => overlapping(spans, wanted),
        }
    }

    /// A text with the special tokens before and after it.
    fn ended(&self, row: usize, tokens: OwnTokens, wanted: &[Range<usize>]) -> TokenizedText {
        let before = self.leading.len();
        let shifted = |range: Range<usize>| range.start + before..range.end + before;
        let mut labelled: Vec<Range<usize>> = self.labelled(&tokens, wanted).into_iter().map(shifted).collect();
        let mut ids = self.leading.clone();
        ids.extend(tokens.ids);
        if let Some(eos) = self.eos.filter(|eos| ids.last() != Some(eos)) {
            match labelled.last_mut() {
                Some(last) if last.end == ids.len() => last.end += 1,
                _ => labelled.push(ids.len()..ids.len() + 1),
            }
            ids.push(eos);
        }
        self.truncated(row, ids, labelled)
    }

    fn truncated(&self, row: usize, mut ids: Vec<u32>, labelled: Vec<Range<usize>>) -> TokenizedText {
        let truncated = ids.len() > self.options.max_tokens;
        ids.truncate(self.options.max_tokens);
        let within = |range: Range<usize>| range.start.max(1)..range.end.min(ids.len());
        let labelled = labelled.into_iter().map(within).filter(|range| !range.is_empty()).collect();
        TokenizedText { ids, labelled, row, truncated }
    }
}

/// The ranges of tokens that lie, wholly or in part, in one of the ranges of bytes. A token without bytes lies where it stands.
fn overlapping(tokens: &[(usize, usize)], wanted: &[Range<usize>]) -> Vec<Range<usize>> {
    let is_wanted = |&(start, end): &(usize, usize)| {
        wanted.iter().any(|range| !range.is_empty() && range.start < end.max(start + 1) && start < range.end)
    };
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (i, _) in tokens.iter().enumerate().filter(|(_, token)| is_wanted(token)) {
        match ranges.last_mut() {
            Some(last) if last.end == i => last.end += 1,
            _ => ranges.push(i..i + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_counts_if_any_of_its_bytes_does() {
        let tokens = [(0, 3), (3, 5), (5, 5), (5, 9), (9, 9)];
        let tokens_in = |wanted: &[Range<usize>]| {
            let ranges = overlapping(&tokens, wanted).into_iter();
            ranges.map(|range| (range.start, range.end)).collect::<Vec<_>>()
        };
        let [within, across, none] = [4..5, 4..6, 5..5].map(|range| tokens_in(&[range]));
        assert_eq!((within, across, none), (vec![(1, 2)], vec![(1, 4)], vec![]));
        assert_eq!(tokens_in(&[0..1, 8..10]), [(0, 1), (3, 5)]);
        assert!(tokens_in(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn ranges_are_in_order_and_apart(
            ends in prop::collection::vec(0..5_usize, 0..20), wanted in prop::collection::vec((0..60_usize, 0..9_usize), 0..5),
        ) {
            let mut at = 0;
            let tokens: Vec<(usize, usize)> = ends.iter().map(|size| { at += size; (at - size, at) }).collect();
            let wanted: Vec<Range<usize>> = wanted.into_iter().map(|(start, size)| start..start + size).collect();
            let ranges = overlapping(&tokens, &wanted);
            prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= tokens.len()));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            for (i, (start, end)) in tokens.iter().enumerate().filter(|(_, (start, end))| start < end) {
                let bytes = (*start..*end).any(|byte| wanted.iter().any(|range| range.contains(&byte)));
                prop_assert_eq!(bytes, ranges.iter().any(|range| range.contains(&i)));
            }
        }
    }
}
