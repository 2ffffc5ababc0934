//! How a row becomes a question: the part of a benchmark's file that is about rows.

use std::borrow::Cow;

use serde::Deserialize;

use super::answer::Answer;
use super::choices::Choices;
use super::mark::Mark;
use super::template::{Filled, Template};
use crate::{Choice, Row, RowError};

/// What a prompt calls the lettered list of choices.
const CHOICES: &str = "choices";

/// The prompt of a benchmark, its choices and its answer.
#[derive(Debug, Clone)]
pub(super) struct Form {
    skip_where: Vec<String>,
    prompt: Template,
    passage: Option<String>,
    choices: Choices,
    answer: Answer,
    marks: Vec<Mark>,
}

/// A [`Form`] as a benchmark's file has it.
#[derive(Debug, Deserialize)]
pub(super) struct Written {
    #[serde(default)]
    pub(super) skip_where: Vec<String>,
    pub(super) prompt: String,
    pub(super) passage: Option<String>,
    pub(super) choices: Choices,
    pub(super) answer: Answer,
    #[serde(default)]
    pub(super) marks: Vec<Mark>,
}

/// A row that has been read.
pub(super) struct Question {
    pub(super) prompt: Filled,
    pub(super) choices: Vec<Choice>,
    pub(super) answer: Option<usize>,
}

impl Form {
    pub(super) fn parse(written: Written) -> Result<Self, String> {
        let Written { skip_where, prompt, passage, choices, answer, marks } = written;
        if prompt.ends_with(char::is_whitespace) {
            return Err("`prompt`: expected no space at its end; the answer follows after one".into());
        }
        let prompt = Template::parse(&prompt).map_err(|error| format!("`prompt`: {error}"))?;
        let fields: Vec<&str> = prompt.fields().collect();
        let place = |field: &str| match fields.contains(&field) {
            true => Ok(()),
            false => Err(format!("`prompt`: expected a place for {{{field}}}")),
        };
        place(CHOICES)?;
        answer.check()?;
        passage.iter().try_for_each(|passage| place(passage))?;
        marks.iter().try_for_each(|mark| place(mark.field()))?;
        Ok(Self { skip_where, prompt, passage, choices, answer, marks })
    }

    /// How many choices every row has, if all have the same number.
    pub(super) fn num_choices(&self) -> Option<usize> {
        self.choices.count()
    }

    /// The fields that are read, in no order; the others of a file need not be looked at.
    pub(super) fn fields(&self) -> Vec<&str> {
        let prompt = self.prompt.fields().filter(|field| *field != CHOICES);
        let marks = self.marks.iter().flat_map(Mark::places);
        let skip = self.skip_where.iter().map(String::as_str);
        prompt.chain(self.choices.fields()).chain([self.answer.field()]).chain(marks).chain(skip).collect()
    }

    /// The fields of which only their presence counts.
    pub(super) fn presence(&self) -> &[String] {
        &self.skip_where
    }

    /// Reads a row; `None` for one that is left out. The field of the answer may be missing from a row of a split that
    /// is not `labelled`.
    pub(super) fn read(&self, row: &Row, labelled: bool) -> Result<Option<Question>, RowError> {
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
        let prompt = self.prompt.fill(self.passage.as_deref(), |field| row.has(field), value)?;
        let answer = match self.answer.read(row, &choices) {
            Err(RowError::MissingField { .. }) if !labelled => None,
            answer => answer?,
        };
        Ok(Some(Question { prompt, choices, answer }))
    }
}
