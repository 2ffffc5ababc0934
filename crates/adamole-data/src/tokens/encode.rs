//! Items as token ids with the position of the answer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use super::cache;
use super::letters::{Aligned, Endings, align};
use super::truncate::Prompt;
use crate::error::{DataError, unknown_name};
use crate::{MultipleChoice, Tokenizer};

/// How items are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeOptions {
    /// The most tokens of a text, including special tokens and answer; `usize::MAX` never truncates. Default 256.
    pub max_tokens: usize,
    /// Which part of a text that is too long is cut.
    pub truncation: Truncation,
    /// The position and the tokens with which an item is scored.
    pub scoring: Scoring,
    /// Whether the end-of-sequence token follows the answer. Default true.
    pub append_eos: bool,
}

/// Which part of a text that is too long is cut.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display, EnumString, VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = DataError, parse_err_fn = unknown_name::<Self>)]
pub enum Truncation {
    /// The end of the passage, then the start of the prompt. The end of the prompt and the answer are always kept, and evaluation
    /// uses the prompt of training.
    #[default]
    Passage,
    /// The end of the training text, as in the reference implementation: a long item loses its choices and its answer, which is then
    /// not trained. Evaluation uses whole prompts.
    Right,
}

/// The position and the tokens with which an item is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scoring {
    /// The position and the tokens of training, over the item's own choices.
    #[default]
    Aligned,
    /// As in the reference implementation: after a prompt that ends with a space, with the last token of each letter encoded alone.
    /// Many tokenizers make that space a token of its own, which no training text has at this position.
    Reference {
        /// The number of letters from `A` on, whatever choices an item has
        /// ([`Benchmark::published_letters`](crate::Benchmark::published_letters)).
        letters: usize,
    },
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self { max_tokens: 256, truncation: Truncation::Passage, scoring: Scoring::Aligned, append_eos: true }
    }
}

/// An item as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The training text: prompt, answer and end of sequence; the prompt alone if the item is unlabelled.
    pub text: Vec<u32>,
    /// The index of the answer's token in `text`; `None` if the item is unlabelled or its answer was truncated.
    pub answer_at: Option<usize>,
    /// The prompt of evaluation. The output at its last token scores the choices.
    pub prompt: Vec<u32>,
    /// The token of each choice after the prompt, in the order of the letters.
    pub choice_ids: Vec<u32>,
    /// The index of the right token in `choice_ids`, if the item is labelled. Under [`Scoring::Reference`] it is the number of
    /// `choice_ids` if none of them is right, so that every answer to such an item is wrong.
    pub answer: Option<usize>,
    /// Whether the item was truncated.
    pub truncated: bool,
    /// The index of the item among those that were encoded.
    pub item: usize,
}

/// An encoder of items, which are scored at the position and with the tokens of training.
///
/// The text of prompt, space and letter is encoded as a whole. The answer's token is the one by which the texts of the letters
/// differ, and the prompt consists of the tokens before it, however the tokenizer treats the space: `Answer: B` is `Answer` `:`
/// `▁B` for Llama 2 and `Answer` `:` ` B` for a byte-level tokenizer.
#[derive(Clone)]
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    options: EncodeOptions,
    eos: Option<u32>,
    cache: Option<PathBuf>,
    progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
}

/// The fields of an [`Example`] that evaluation uses.
struct Asked {
    prompt: Vec<u32>,
    choice_ids: Vec<u32>,
    answer: Option<usize>,
}

impl fmt::Debug for Encoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("options", &self.options).field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl<'a> Encoder<'a> {
    /// An encoder with this tokenizer.
    ///
    /// # Errors
    ///
    /// [`DataError::NoEndOfSequence`] if that token is to be appended and the tokenizer has none.
    pub fn new(tokenizer: &'a Tokenizer, options: &EncodeOptions) -> Result<Self, DataError> {
        let eos = match options.append_eos {
            true => Some(tokenizer.eos().ok_or(DataError::NoEndOfSequence)?),
            false => None,
        };
        Ok(Self { tokenizer, options: options.clone(), eos, cache: None, progress: None })
    }

    /// Caches the encoded items in `folder` under a hash of tokenizer, options and items. If the folder cannot be written or a file
    /// in it is damaged, the items are encoded again.
    #[must_use]
    pub fn cached_in(self, folder: &Path) -> Self {
        Self { cache: Some(folder.into()), ..self }
    }

    /// Calls `progress` from time to time with the number of encoded items and of all items, unless they come from the cache.
    #[must_use]
    pub fn on_progress(self, progress: &'a (dyn Fn(usize, usize) + Sync)) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Encodes `items` on all threads and returns them in their order.
    ///
    /// Tokens that the tokenizer's own rules put after a text are removed; `append_eos` alone decides about the end of a text, so
    /// that there is never more than one end of sequence.
    ///
    /// # Errors
    ///
    /// The error of the first item that cannot be encoded: [`DataError::Unaligned`] if its letters are not single tokens,
    /// [`DataError::MaxTokens`], [`DataError::InvalidItem`] or [`DataError::Tokenize`].
    pub fn encode(&self, items: &[MultipleChoice]) -> Result<Vec<Example>, DataError> {
        let Some(folder) = &self.cache else { return self.encode_anew(items) };
        let path = cache::path(folder, self.tokenizer, &self.options, items);
        if let Some(examples) = cache::read(&path, items.len()) {
            return Ok(examples);
        }
        let examples = self.encode_anew(items)?;
        cache::write(&path, &examples);
        Ok(examples)
    }

    fn encode_anew(&self, items: &[MultipleChoice]) -> Result<Vec<Example>, DataError> {
        let endings = Endings::of(self.tokenizer, items)?;
        let done = AtomicUsize::new(0);
        let examples = items.par_iter().enumerate().map(|(index, item)| {
            let example = self.encode_item(index, item, &endings);
            let done = 1 + done.fetch_add(1, Ordering::Relaxed);
            if let Some(progress) = self.progress.filter(|_| done.is_multiple_of(1024) || done == items.len()) {
                progress(done, items.len());
            }
            example
        });
        // All are collected before an error is looked for: it is that of the first item, not of the fastest thread.
        examples.collect::<Vec<_>>().into_iter().collect()
    }

    fn encode_item(&self, index: usize, item: &MultipleChoice, endings: &Endings<'_>) -> Result<Example, DataError> {
        let choices = item.choices.len();
        if choices < 2 || item.answer.is_some_and(|answer| answer >= choices) {
            return Err(DataError::InvalidItem { row: item.row, choices, answer: item.answer });
        }
        let sample = item.text_with(&item.choices[item.answer.unwrap_or(0)].letter);
        let Aligned { prompt, leading, letters } = match self.options.scoring {
            Scoring::Aligned => align(self.tokenizer, endings, item)?,
            Scoring::Reference { .. } => self.whole(&sample)?,
        };
        let letter = item.answer.and_then(|answer| letters.get(answer).or(letters.last()).copied());

        // Room for the answer and the end of sequence is reserved for unlabelled items too: an item has the same prompt with and
        // without a label.
        let reserved = leading + 1 + usize::from(self.eos.is_some());
        if self.options.max_tokens <= reserved {
            return Err(DataError::MaxTokens { max_tokens: self.options.max_tokens, least: reserved + 1 });
        }
        let room = self.options.max_tokens - reserved;
        let passage = item.passage.as_ref();

        let (mut text, mut answer_at, truncated) = match self.options.truncation {
            Truncation::Right => {
                let mut text: Vec<u32> = prompt.iter().copied().chain(letter).collect();
                let truncated = text.len() > leading + room + 1;
                text.truncate(leading + room + 1);
                let answer_at = letter.filter(|_| !truncated).map(|_| text.len() - 1);
                (text, answer_at, truncated)
            }
            Truncation::Passage => {
                let ids = prompt.clone();
                let (mut text, truncated) =
                    Prompt { text: &sample, ids, leading, passage }.shorten(self.tokenizer, room)?;
                text.extend(letter);
                let answer_at = letter.map(|_| text.len() - 1);
                (text, answer_at, truncated)
            }
        };
        let Asked { prompt, choice_ids, answer } = match self.options.scoring {
            Scoring::Aligned => {
                let seen = match self.options.truncation {
                    Truncation::Right => prompt,
                    Truncation::Passage => text[..text.len() - usize::from(letter.is_some())].to_vec(),
                };
                Asked { prompt: seen, choice_ids: letters, answer: item.answer }
            }
            Scoring::Reference { letters } => self.reference(item, letters, room)?,
        };
        if item.answer.is_some() {
            text.extend(self.eos);
        } else {
            (text, answer_at) = (prompt.clone(), None);
        }
        Ok(Example { text, answer_at, prompt, choice_ids, answer, truncated, item: index })
    }

    /// A text whose last token is taken as the answer's.
    fn whole(&self, text: &str) -> Result<Aligned, DataError> {
        let pieces = self.tokenizer.pieces(text)?;
        let mut prompt = pieces.ids;
        let letters = prompt.pop().into_iter().collect();
        Ok(Aligned { prompt, leading: pieces.leading, letters })
    }

    /// The prompt, the tokens of the letters and the index of the right one, as in the reference implementation.
    fn reference(&self, item: &MultipleChoice, letters: usize, room: usize) -> Result<Asked, DataError> {
        let text = item.prompt_published();
        let pieces = self.tokenizer.pieces(&text)?;
        let prompt = match self.options.truncation {
            Truncation::Right => pieces.ids,
            Truncation::Passage => {
                let passage = item.passage.as_ref();
                let prompt = Prompt { text: &text, ids: pieces.ids, leading: pieces.leading, passage };
                prompt.shorten(self.tokenizer, room)?.0
            }
        };
        let letters: Vec<String> = ('A'..='Z').take(letters).map(String::from).collect();
        let ids = letters.iter().map(|letter| self.tokenizer.last_token(letter));
        let ids: Vec<u32> = ids.collect::<Result<Option<_>, _>>()?.unwrap_or_default();
        let answer = item.answer.map(|answer| {
            let right = &item.choices[answer].letter;
            letters.iter().position(|letter| letter == right).unwrap_or(ids.len())
        });
        Ok(Asked { prompt, choice_ids: ids, answer })
    }
}
