//! Items as token ids, with the answer's place known.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cache;
use super::letters::{Aligned, Endings, align};
use super::truncate::Prompt;
use crate::named::named;
use crate::{DataError, MultipleChoice, Tokenizer};

/// How long an encoded text may be, how it ends, and how it is scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Most tokens of a text, special tokens and answer included; `usize::MAX` never cuts. Default 256.
    pub max_tokens: usize,
    /// What goes of a text that is too long.
    pub truncation: Truncation,
    /// Where and with which tokens an item is scored.
    pub scoring: Scoring,
    /// Whether the answer is followed by the end-of-sequence token. Default yes.
    pub append_eos: bool,
}

/// What goes of a text that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Truncation {
    /// The end of the passage; in a benchmark without one, and where that is not enough, the front of the prompt. The
    /// end of the prompt and the answer always stay. Evaluation sees the prompt that training sees.
    #[default]
    Passage,
    /// The end of the training text, as published: a long item loses its choices and its answer, which then is not
    /// learnt. Evaluation sees whole prompts.
    Right,
}

named!(Truncation, "truncation", { Self::Passage => "passage", Self::Right => "right" });

/// Where and with which tokens an item is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scoring {
    /// At the place and with the tokens of training, over the item's own choices.
    #[default]
    Aligned,
    /// As published: after a prompt that ends in a space, with the last token that each letter has when it stands
    /// alone. Many tokenizers make the space a token of its own there, one that no training text has at this place.
    Reference {
        /// Over how many letters from `A` on, whatever choices an item has
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
    /// What training sees: prompt, answer and end of sequence; for an unlabelled item, the prompt alone.
    pub text: Vec<u32>,
    /// Where in `text` the answer's token is; `None` if the item is unlabelled or truncation took its answer.
    pub answer_at: Option<usize>,
    /// What evaluation sees. The output at its last token scores the choices.
    pub prompt: Vec<u32>,
    /// The token that stands for each choice after the prompt, in the order of the letters.
    pub choice_ids: Vec<u32>,
    /// Index of the right one of `choice_ids`, if the item is labelled. Under [`Scoring::Reference`] it is the number
    /// of `choice_ids` where none of them is right: such an item is always answered wrongly.
    pub answer: Option<usize>,
    /// Whether tokens were cut to fit `max_tokens`.
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
#[derive(Clone)]
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    options: EncodeOptions,
    eos: Option<u32>,
    cache: Option<PathBuf>,
    progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
}

/// What evaluation sees of an item: the fields of an [`Example`].
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
        Ok(Self { tokenizer, options: options.clone(), eos, cache: None, progress: None })
    }

    /// Keeps what was encoded in `folder`, under a hash of tokenizer, options and items, and finds it there again. A
    /// folder that cannot be written and a file that was damaged cost time, not more.
    #[must_use]
    pub fn cached_in(self, folder: &Path) -> Self {
        Self { cache: Some(folder.into()), ..self }
    }

    /// Tells `progress` now and then how many items are encoded, of how many. What comes from the cache is not told.
    #[must_use]
    pub fn on_progress(self, progress: &'a (dyn Fn(usize, usize) + Sync)) -> Self {
        Self { progress: Some(progress), ..self }
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
        // Collected first, so that the error is that of the first item and not of the fastest thread.
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

        // The answer and the end of sequence have their place even if the item has no label: its prompt must be
        // the same with and without one.
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

    /// A text whose last token is taken for the answer's.
    fn whole(&self, text: &str) -> Result<Aligned, DataError> {
        let pieces = self.tokenizer.pieces(text)?;
        let mut prompt = pieces.ids;
        let letters = prompt.pop().into_iter().collect();
        Ok(Aligned { prompt, leading: pieces.leading, letters })
    }

    /// What the published evaluation asks: its prompt, the tokens of the letters, and which of them is right.
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
