//! Items as token ids, with the answer's place known.

use rayon::prelude::*;

use crate::letters::{Endings, align};
use crate::{DataError, Item, Tokenizer};

/// How long an encoded text may be and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Most tokens of a text, special tokens and answer included; `usize::MAX` never cuts. Default 256.
    ///
    /// A longer text loses tokens from the front of its prompt, after any beginning-of-sequence token: the passage
    /// gets shorter, while the end of the prompt and the answer stay. The published code cuts at the right, where
    /// it loses the very answer that is to be learnt.
    pub max_tokens: usize,
    /// Whether the answer is followed by the end-of-sequence token. Default yes.
    pub append_eos: bool,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self { max_tokens: 256, append_eos: true }
    }
}

/// An item as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Prompt, answer and end of sequence; for an unlabelled item, the prompt alone.
    pub ids: Vec<u32>,
    /// How many ids stand before the answer. The output at position `prompt_len - 1` predicts `ids[prompt_len]`.
    pub prompt_len: usize,
    /// Index of the right choice, if the item is labelled.
    pub answer: Option<usize>,
    /// The token that stands for each choice at the answer's place, in the order of the letters.
    pub choice_ids: Vec<u32>,
    /// Whether the prompt lost tokens to fit `max_tokens`.
    pub truncated: bool,
    /// Which item this is: an index into the items that were encoded.
    pub item: usize,
}

/// Turns items into token ids such that scoring asks for what training taught.
///
/// The text is the prompt, a space and the letter, tokenised as one. The answer's token is the one by which the texts
/// of the letters differ, and the prompt is all that stands before it. So an item is scored at the position and with
/// the tokens that training uses, whatever the tokenizer does with the space: `Answer: B` is `Answer` `:` `▁B` to
/// Llama 2 and `Answer` `:` ` B` to a byte-level tokenizer.
#[derive(Debug, Clone)]
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    max_tokens: usize,
    eos: Option<u32>,
}

impl<'a> Encoder<'a> {
    /// An encoder for the texts of one tokenizer.
    ///
    /// # Errors
    ///
    /// [`DataError::NoEndOfSequence`] if one is to be appended but the tokenizer has none.
    pub fn new(tokenizer: &'a Tokenizer, options: &EncodeOptions) -> Result<Self, DataError> {
        let eos = match options.append_eos {
            true => Some(tokenizer.eos().ok_or(DataError::NoEndOfSequence)?),
            false => None,
        };
        Ok(Self { tokenizer, max_tokens: options.max_tokens, eos })
    }

    /// Encodes `items` on all threads, in their order.
    ///
    /// Tokens that the tokenizer's own rules put after a text are left out; what ends a text is `append_eos` alone,
    /// so that there is never more than one end of sequence.
    ///
    /// # Errors
    ///
    /// The error of the first item that has one: [`DataError::Unaligned`] if its letters are not single tokens,
    /// [`DataError::MaxTokens`], [`DataError::InvalidItem`] or [`DataError::Tokenize`].
    pub fn encode(&self, items: &[Item]) -> Result<Vec<Example>, DataError> {
        let endings = Endings::of(self.tokenizer, items)?;
        let examples = items.par_iter().enumerate().map(|(index, item)| self.encode_item(index, item, &endings));
        // Collected first, so that the error is that of the first item and not of the fastest thread.
        examples.collect::<Vec<_>>().into_iter().collect()
    }

    fn encode_item(&self, index: usize, item: &Item, endings: &Endings<'_>) -> Result<Example, DataError> {
        let choices = item.choices.len();
        if choices < 2 || item.answer.is_some_and(|answer| answer >= choices) {
            return Err(DataError::InvalidItem { line: item.id, choices, answer: item.answer });
        }
        let aligned = align(self.tokenizer, endings, item)?;
        let (leading, prompt) = aligned.prompt.split_at(aligned.leading);

        // The answer and the end of sequence have their place even if the item has no label: its prompt must be
        // the same with and without one.
        let reserved = leading.len() + 1 + usize::from(self.eos.is_some());
        if self.max_tokens <= reserved {
            return Err(DataError::MaxTokens { max_tokens: self.max_tokens, least: reserved + 1 });
        }
        let cut = prompt.len().saturating_sub(self.max_tokens - reserved);

        let mut ids = [leading, &prompt[cut..]].concat();
        let prompt_len = ids.len();
        if let Some(answer) = item.answer {
            ids.push(aligned.letters[answer]);
            ids.extend(self.eos);
        }
        Ok(Example {
            ids,
            prompt_len,
            answer: item.answer,
            choice_ids: aligned.letters,
            truncated: cut > 0,
            item: index,
        })
    }
}
