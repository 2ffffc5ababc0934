//! What is said about text data when a program begins to work with it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::rows::TextReport;
use super::shape::TextShape;

/// The most files that the summary names.
const NAMED: usize = 4;

/// What was read, and how it was divided. Its text is a few lines for the user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextSummary {
    /// The files that were read for training.
    pub files: Vec<PathBuf>,
    /// The formats of all files, each once.
    pub formats: Vec<String>,
    /// The shape of all rows.
    pub shape: TextShape,
    /// Rows for training.
    pub train_rows: usize,
    /// Rows for validation.
    pub validation_rows: usize,
    /// Where the rows for validation come from.
    pub validation: ValidationOrigin,
    /// Columns that are not read, sorted.
    pub ignored: Vec<String>,
    /// Rows of the training files that repeat an earlier one of them.
    pub duplicates: usize,
    /// Rows for validation that are also among those for training.
    pub in_both: usize,
    /// Counts of the rows of all files.
    pub report: TextReport,
}

/// Where the rows for validation come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationOrigin {
    /// Files.
    Files {
        /// Their paths.
        files: Vec<PathBuf>,
    },
    /// A part of the training files.
    Drawn {
        /// The share of the rows.
        share: f64,
        /// The seed of the draw.
        seed: u64,
        /// Whether the share is the default one, as there is no validation data.
        is_default: bool,
    },
    /// There are none.
    None,
}

impl fmt::Display for TextSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, formats, shape, train_rows, validation_rows, validation, ignored, .. } = self;
        writeln!(f, "data: {} ({}), shape {shape}", named(files), formats.join(", "))?;
        if *validation != ValidationOrigin::None {
            writeln!(f, "train: {}", counted(*train_rows, "row"))?;
        }
        match validation {
            ValidationOrigin::Files { files } => {
                writeln!(f, "validation: {} of {}", counted(*validation_rows, "row"), named(files))?;
            }
            ValidationOrigin::Drawn { share, seed, is_default } => {
                let percent = format!("{:.4}", share * 100.0);
                let percent = percent.trim_end_matches('0').trim_end_matches('.');
                let why = match is_default {
                    true => format!("as there is no validation data: {percent} %, at most 1000 rows, with seed {seed}"),
                    false => format!("{percent} %, with seed {seed}"),
                };
                let rows = counted(*validation_rows, "row");
                writeln!(f, "validation: {rows}, drawn from the training files ({why})")?;
            }
            // Read for something else than a run.
            ValidationOrigin::None => writeln!(f, "rows: {train_rows}")?,
        }
        if !ignored.is_empty() {
            writeln!(f, "ignored columns: {}", ignored.join(", "))?;
        }
        if self.duplicates > 0 {
            let rows = counted(self.duplicates, "row");
            writeln!(f, "duplicates: {rows} of the training files repeat an earlier one of them")?;
        }
        if self.in_both > 0 {
            writeln!(f, "warning: {} for validation are also among those for training", counted(self.in_both, "row"))?;
        }
        if let TextReport { empty: empty @ 1.., first_empty: Some(first), .. } = &self.report {
            let rows = counted(*empty, "row");
            writeln!(f, "left out: {rows} with nothing to learn, an empty text or completion, first {first}")?;
        }
        if let TextReport { rows, bad_rows: bad_rows @ 1.., bad, .. } = &self.report {
            let first = bad.first().map(String::as_str).unwrap_or_default();
            writeln!(f, "warning: {bad_rows} of {} were skipped, first {first}", counted(*rows, "row"))?;
        }
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first of the files, and how many more there are.
fn named(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().take(NAMED).map(|file| file.display().to_string()).collect();
    match files.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
