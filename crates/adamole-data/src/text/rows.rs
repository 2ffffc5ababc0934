//! The rows of files, one after another.

use std::collections::BTreeSet;

use serde::Serialize;

use super::content::{TextContent, TextRow};
use super::fields::{Fields, TextFields};
use super::shape::{ShapeError, TextShape};
use crate::error::unexpected;
use crate::files::{FileRow, SplitFile, rows};
use crate::{DataError, OnBadRow, Place, RowError};

/// The most bad rows that are described; further ones are only counted.
const DESCRIBED: usize = 100;

/// Counts of the rows of text data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TextReport {
    /// Rows in the files, with those that were left out.
    pub rows: usize,
    /// Rows that were left out because there is nothing in them to learn.
    pub empty: usize,
    /// The place of the first of them.
    pub first_empty: Option<String>,
    /// Bad rows that were skipped.
    pub bad_rows: usize,
    /// The problems of the first 100 bad rows, with their places.
    pub bad: Vec<String>,
}

impl TextReport {
    /// Adds the counts of files that were read later.
    pub(super) fn add(&mut self, next: Self) {
        self.rows += next.rows;
        self.empty += next.empty;
        self.first_empty = self.first_empty.take().or(next.first_empty);
        self.bad_rows += next.bad_rows;
        self.bad.extend(next.bad);
        self.bad.truncate(DESCRIBED);
    }
}

/// A reader of files whose rows all have one shape.
pub(super) struct Reader<'a> {
    names: &'a TextFields,
    on_bad_row: OnBadRow,
    needs_assistant: bool,
    /// The shape of the first row, and its place.
    pub(super) shape: Option<(TextShape, Place)>,
    /// Columns that were not read.
    pub(super) ignored: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(names: &'a TextFields, on_bad_row: OnBadRow, needs_assistant: bool) -> Self {
        Self { names, on_bad_row, needs_assistant, shape: None, ignored: BTreeSet::new() }
    }

    /// All rows of these files that hold something to learn, in their order.
    pub(super) fn read(&mut self, files: &[SplitFile]) -> Result<(Vec<TextRow>, TextReport), DataError> {
        let (mut found, mut report) = (Vec::new(), TextReport::default());
        for file in files {
            for row in rows(file, self.names.needed())? {
                report.rows += 1;
                match row.and_then(|row| self.row(row)) {
                    Ok(row) if row.content.is_empty() => {
                        report.empty += 1;
                        report.first_empty.get_or_insert_with(|| row.origin.to_string());
                    }
                    Ok(row) => found.push(row),
                    Err(error) if error.is_about_a_row() && self.on_bad_row == OnBadRow::Skip => {
                        report.bad_rows += 1;
                        if report.bad.len() < DESCRIBED {
                            report.bad.push(error.to_string());
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok((found, report))
    }

    fn row(&mut self, FileRow { fields, place: origin, .. }: FileRow) -> Result<TextRow, DataError> {
        let row = Fields::new(&fields, self.names);
        let read = TextShape::of(&row).and_then(|shape| {
            self.check_shape(shape)?;
            let content = TextContent::read(&row, shape)?;
            self.check_assistant(&content, &row, shape)?;
            Ok((shape, content))
        });
        let (shape, content) = read.map_err(|problem| DataError::Row { place: origin.clone(), problem })?;
        self.shape.get_or_insert_with(|| (shape, origin.clone()));
        let is_read = |column: &str| shape.fields().any(|field| self.names.column(field) == column);
        for column in fields.keys() {
            if !is_read(column) && !self.ignored.contains(column) {
                self.ignored.insert(column.clone());
            }
        }
        Ok(TextRow { content, origin })
    }

    /// Checks that a row has the shape of the first one.
    fn check_shape(&self, found: TextShape) -> Result<(), ShapeError> {
        match &self.shape {
            Some((expected, first)) if *expected != found => {
                Err(ShapeError::Different { found, expected: *expected, first: first.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Checks that the assistant says something in a conversation, without which there is nothing to learn.
    fn check_assistant(&self, content: &TextContent, row: &Fields<'_>, shape: TextShape) -> Result<(), RowError> {
        let TextContent::Conversation { messages, prompt_messages, .. } = content else { return Ok(()) };
        if !self.needs_assistant || content.written().next().is_some() {
            return Ok(());
        }
        let field = shape.required_fields().last().copied().unwrap_or_default();
        let roles: Vec<&str> =
            messages.iter().skip(prompt_messages.unwrap_or(0)).map(|message| message.role()).collect();
        let found = if roles.is_empty() { "no message".into() } else { format!("the roles {}", roles.join(", ")) };
        Err(unexpected(row.column(field), "a message of the role assistant, from which to learn", found))
    }
}
