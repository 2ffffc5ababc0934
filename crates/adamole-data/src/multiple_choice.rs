//! One multiple-choice question, whatever benchmark it came from.

use std::ops::Range;
use std::sync::Arc;

/// One answer to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the model is to say: `A`, `B`, ...
    pub letter: String,
    /// What the prompt shows after the letter.
    pub text: String,
}

/// A multiple-choice question with its prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipleChoice {
    /// The benchmark that it is of; in a mixture, the part.
    pub benchmark: Arc<str>,
    /// Row of the split, counted from 1: in a text file its line, in Parquet the row. In a split of several files the
    /// count goes on from file to file.
    pub row: usize,
    /// The question with its choices, ending in `Answer:` without a space.
    pub prompt: String,
    /// The bytes of `prompt` that may be shortened to make it fit, where the benchmark has a passage.
    pub passage: Option<Range<usize>>,
    /// The choices, in the order of their letters.
    pub choices: Vec<Choice>,
    /// Index of the right choice; `None` where the published file has no label.
    pub answer: Option<usize>,
}

impl MultipleChoice {
    /// The prompt as the paper's code feeds it to the model, ending in `Answer: ` with a space.
    ///
    /// Many tokenizers turn that space into a token of its own, one that no training text has at this place.
    pub fn prompt_published(&self) -> String {
        format!("{} ", self.prompt)
    }

    /// The training text, prompt and letter of the right choice; `None` if the item is unlabelled.
    pub fn text(&self) -> Option<String> {
        let choice = self.choices.get(self.answer?)?;
        Some(self.text_with(&choice.letter))
    }

    /// The prompt followed by a space and `letter`.
    pub(crate) fn text_with(&self, letter: &str) -> String {
        format!("{} {letter}", self.prompt)
    }
}
