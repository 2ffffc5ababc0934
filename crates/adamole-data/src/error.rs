//! Everything that can go wrong between a file and a batch.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::row::RowError;

/// An error of this crate. Each names the thing (path, line, field, item) and what was expected of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No benchmark has this name.
    #[error("unknown benchmark `{name}`{}; known: {}", suggestion(.nearest), .known.join(", "))]
    UnknownBenchmark {
        /// The name that was asked for.
        name: String,
        /// The known name that resembles it most, if any does.
        nearest: Option<&'static str>,
        /// All known names.
        known: Vec<&'static str>,
    },

    /// No split has this name.
    #[error("unknown split `{0}`; known: train, validation, test")]
    UnknownSplit(String),

    /// The file of a split, or a file of the tokenizer, is not there.
    #[error("{} does not exist; {}", .path.display(), contents(.present))]
    MissingFile {
        /// The file that was looked for.
        path: PathBuf,
        /// Names in its folder, or `None` if the folder does not exist either.
        present: Option<Vec<String>>,
    },

    /// A file could not be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },

    /// A line is not UTF-8.
    #[error("{}:{line}: not valid UTF-8 from byte {byte} of the line on", .path.display())]
    InvalidUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The first bad byte of the line, counted from 1.
        byte: usize,
    },

    /// A text is not the JSON object that was expected.
    #[error("{}:{line}:{column}: expected a JSON object: {message}", .path.display())]
    InvalidJson {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What the JSON parser says.
        message: String,
    },

    /// A row does not have the fields of its benchmark.
    #[error("{}:{line}: {problem}", .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The field, and what was expected and found.
        problem: RowError,
    },

    /// A split has no usable row.
    #[error("{} has no rows{}", .path.display(), skipped_rows(*.skipped))]
    Empty {
        /// The file.
        path: PathBuf,
        /// Rows that were left out, such as questions about an image.
        skipped: usize,
    },

    /// A row has no answer, but training and scoring need one.
    #[error("line {line} has no answer (label -1 or an empty answer); this split cannot be trained on or scored")]
    Unlabelled {
        /// The line of the first such row, counted from 1.
        line: usize,
    },

    /// The tokenizer file is not one.
    #[error("{} is not a usable tokenizer", .path.display())]
    Tokenizer {
        /// The tokenizer file.
        path: PathBuf,
        /// The tokenizer library's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A special token is declared but is not in the vocabulary.
    #[error("{}: `{key}` is {found}, expected a token of the vocabulary", .path.display())]
    SpecialToken {
        /// The file that declares it.
        path: PathBuf,
        /// `bos_token`, `eos_token`, `bos_token_id` or `eos_token_id`.
        key: &'static str,
        /// What stands there.
        found: String,
    },

    /// Texts are to end in an end-of-sequence token, but the tokenizer has none.
    #[error("the tokenizer declares no end-of-sequence token, but the encoder is to append one")]
    NoEndOfSequence,

    /// The tokenizer failed on a text or on token ids.
    #[error("the tokenizer failed on {text:?}")]
    Tokenize {
        /// The text, or the ids, shortened.
        text: String,
        /// The tokenizer library's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The letters of an item are not single tokens after one common prompt.
    #[error(
        "line {line}: letter {letter} is not one token of its own after the prompt: \
         its last tokens are {tokens:?}, those of letter {other} are {other_tokens:?}"
    )]
    Unaligned {
        /// The line of the item, counted from 1.
        line: usize,
        /// The letter that does not fit.
        letter: String,
        /// Its last tokens.
        tokens: Vec<String>,
        /// The letter it was compared with.
        other: String,
        /// The last tokens of that letter's text.
        other_tokens: Vec<String>,
    },

    /// An item that no file would give: fewer than two choices, or an answer beyond the last one.
    #[error("line {line}: {choices} choices with answer {answer:?}, expected at least two and an answer among them")]
    InvalidItem {
        /// The line of the item, counted from 1.
        line: usize,
        /// How many choices it has.
        choices: usize,
        /// Its answer, counted from 0.
        answer: Option<usize>,
    },

    /// `max_tokens` leaves no room for any token of the prompt.
    #[error(
        "max_tokens is {max_tokens}, expected at least {least}: special tokens, answer and one token of the prompt"
    )]
    MaxTokens {
        /// The limit asked for.
        max_tokens: usize,
        /// The smallest that would do.
        least: usize,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

fn contents(present: &Option<Vec<String>>) -> String {
    match present {
        None => "neither does its folder".into(),
        Some(names) if names.is_empty() => "its folder is empty".into(),
        Some(names) => {
            let shown = names.iter().take(12).map(String::as_str);
            let mut text = format!("its folder has: {}", shown.collect::<Vec<_>>().join(", "));
            if names.len() > 12 {
                let _ = write!(text, " and {} more", names.len() - 12);
            }
            text
        }
    }
}

fn skipped_rows(skipped: usize) -> String {
    match skipped {
        0 => String::new(),
        n => format!(" without an image ({n} rows with one were skipped)"),
    }
}
