//! How a row becomes a multiple-choice question.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::answer::Answer;
use super::choices::Choices;
use super::mark::Mark;
use super::template::Template;
use crate::{Row, RowError};

/// The place in a prompt for the lettered list of choices.
pub(super) const CHOICES: &str = "choices";

/// A choice of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The answer that the model is to give: `A`, `B`, ...
    pub letter: String,
    /// The text after the letter in the prompt.
    pub text: String,
}

/// A multiple-choice question with its prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipleChoice {
    /// The name of its benchmark; in a mixture, that of the part.
    pub benchmark: Arc<str>,
    /// The [number of the row](crate::NumberedRow::number), counted from 1.
    pub row: usize,
    /// The question with its choices. It ends with `Answer:`, without a space.
    pub prompt: String,
    /// The bytes of `prompt` that may be shortened to make it fit, where the benchmark has a passage.
    pub passage: Option<Range<usize>>,
    /// The choices in the order of their letters.
    pub choices: Vec<Choice>,
    /// The index of the right choice; `None` where the published file has no label.
    pub answer: Option<usize>,
}

impl MultipleChoice {
    /// The prompt of the reference implementation, which ends with `Answer: ` and a space.
    ///
    /// Many tokenizers make that space a token of its own, which no training text has at this place.
    pub fn prompt_published(&self) -> String {
        format!("{} ", self.prompt)
    }

    /// The training text, prompt and letter of the right choice; `None` of an item without a label.
    pub fn text(&self) -> Option<String> {
        let choice = self.choices.get(self.answer?)?;
        Some(self.text_with(&choice.letter))
    }

    /// The prompt followed by a space and `letter`.
    pub(crate) fn text_with(&self, letter: &str) -> String {
        format!("{} {letter}", self.prompt)
    }
}

/// The part of a benchmark's definition that is about rows: prompt, choices and answer.
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// Rows with any of these fields are left out.
    pub(super) skip_where: Vec<String>,
    pub(super) prompt: Template,
    pub(super) passage: Option<String>,
    pub(super) choices: Choices,
    pub(super) answer: Answer,
    pub(super) marks: Vec<Mark>,
}

impl Form {
    /// The fields that are read, in no order.
    pub(super) fn fields(&self) -> Vec<&str> {
        let prompt = self.prompt.fields().filter(|field| *field != CHOICES);
        let marks = self.marks.iter().flat_map(Mark::places);
        let skip = self.skip_where.iter().map(String::as_str);
        prompt.chain(self.choices.fields()).chain([self.answer.field()]).chain(marks).chain(skip).collect()
    }

    /// Reads the row with this number; `None` of a row that is left out. If the split is not `labelled`, the row need not have
    /// the field of the answer.
    pub(super) fn read(
        &self,
        benchmark: &Arc<str>,
        number: usize,
        row: &Row,
        labelled: bool,
    ) -> Result<Option<MultipleChoice>, RowError> {
        if self.skip_where.iter().any(|field| row.has(field)) {
            return Ok(None);
        }
        let choices = self.choices.read(row)?;
        let list = || choices.iter().map(|Choice { letter, text }| format!("{letter}. {text}")).collect::<Vec<_>>();
        let value = |field: &str| -> Result<Cow<'_, str>, RowError> {
            match self.marks.iter().find(|mark| mark.field() == field) {
                _ if field == CHOICES => Ok(list().join("\n").into()),
                Some(mark) => Ok(mark.apply(row)?.into()),
                None => Ok(row.text(field)?.into()),
            }
        };
        let (prompt, passage) = self.prompt.fill(self.passage.as_deref(), |field| row.has(field), value)?;
        let answer = match self.answer.read(row, &choices) {
            Err(RowError::MissingField { .. }) if !labelled => None,
            answer => answer?,
        };
        Ok(Some(MultipleChoice { benchmark: benchmark.clone(), row: number, prompt, passage, choices, answer }))
    }
}
