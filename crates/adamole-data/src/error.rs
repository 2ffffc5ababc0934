//! Everything that can go wrong between a file and a batch.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::{Content, Place, ReadReport, RowError, Split};

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
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },

    /// No split, order or other thing with a name has this one.
    #[error("unknown {what} `{name}`; known: {}", .known.join(", "))]
    UnknownName {
        /// What was asked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// The names there are.
        known: &'static [&'static str],
    },

    /// A part of a split is not written as one.
    #[error(
        "`{text}` names no items, expected a split or a part of it: train, train[:200], train[200:], train[200:250]"
    )]
    SplitPart {
        /// What was found.
        text: String,
    },

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

    /// The name of a file is a link to one that is not there.
    #[error("{} is a link to {}, which does not exist", .path.display(), .target.display())]
    DeadLink {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },

    /// Something has the name of a file and is none.
    #[error("{} is {found}, expected a file", .path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },

    /// A file is not what its name says.
    #[error("{}: expected {expected}, found {found}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What it is instead.
        found: Content,
    },

    /// A file is not the definition of a benchmark.
    #[error("{}: not a benchmark: {message}", .path.display())]
    Definition {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },

    /// A split is there twice: in different kinds of files, under different names, or in several sets of shards.
    #[error("the {split} split is there more than once; expected one of: {}", shown(.paths))]
    AmbiguousSplit {
        /// The split.
        split: Split,
        /// A file of each.
        paths: Vec<PathBuf>,
    },

    /// A split is in several files of which one is missing.
    #[error("file {index} of {of} of the {split} split is missing beside {}", .beside.display())]
    MissingShard {
        /// The split.
        split: Split,
        /// The missing one, counted from 0 as in the files' names.
        index: usize,
        /// How many there should be.
        of: usize,
        /// One that is there.
        beside: PathBuf,
    },

    /// A benchmark names a file whose kind is not known.
    #[error("{}: expected a name that ends in .jsonl, .json, .csv, .tsv (perhaps with .gz or .zst) or .parquet", .path.display())]
    FileKind {
        /// The file.
        path: PathBuf,
    },

    /// The first line of a table does not name its columns.
    #[error("{}: the first line: {message}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },

    /// A Parquet file, or a page of it, cannot be decoded.
    #[error("{place}: not readable as Parquet: {message}")]
    InvalidParquet {
        /// The file, and the row group and row if it is not the file as a whole.
        place: String,
        /// The decoder's reason.
        message: String,
    },

    /// A line is not UTF-8.
    #[error("{place}: not valid UTF-8 from byte {byte} on")]
    InvalidUtf8 {
        /// The row.
        place: Place,
        /// The first bad byte of the line or cell, counted from 1.
        byte: usize,
    },

    /// A text is not the JSON object that was expected.
    #[error("{place}:{column}: expected a JSON object: {message}")]
    InvalidJson {
        /// The line.
        place: Place,
        /// The column, counted from 1.
        column: usize,
        /// What the JSON parser says.
        message: String,
    },

    /// A row of a table has too few or too many cells.
    #[error("{place}: expected {expected} cells, one for each column, found {found}")]
    Columns {
        /// The row.
        place: Place,
        /// Columns of the table.
        expected: u64,
        /// Cells of the row.
        found: u64,
    },

    /// A cell of a table has quotes, but not around all of it, or not doubled.
    #[error("{place}: a quote stands where none may: a cell with quotes is in quotes as a whole, and doubles them")]
    StrayQuote {
        /// The row.
        place: Place,
    },

    /// A quote opens in a table and the file, or as much of it as any row takes, ends within: the rows after it cannot
    /// be told from the cell.
    #[error("{place}: the cell's quote is never closed")]
    OpenQuote {
        /// The row with the quote.
        place: Place,
    },

    /// A JSON file with a list of rows is not one up to its end.
    #[error("{place}:{column}: the list of rows breaks off: expected {expected}")]
    BrokenList {
        /// The line.
        place: Place,
        /// The column, counted from 1.
        column: usize,
        /// What should stand there.
        expected: &'static str,
    },

    /// A row is longer than any row can be.
    #[error("{place}: the line is longer than {} MiB", .most >> 20)]
    LongRow {
        /// The row.
        place: Place,
        /// Most bytes of a row.
        most: usize,
    },

    /// A row does not have the fields of its benchmark.
    #[error("{place}: {problem}")]
    Row {
        /// The row.
        place: Place,
        /// The field, and what was expected and found.
        problem: RowError,
    },

    /// The first row does not have the fields of its benchmark, and those after it do not have them either.
    #[error("{place}: {problem}{}", alike(*.looked))]
    EveryRow {
        /// The first row.
        place: Place,
        /// The field, and what was expected and found.
        problem: RowError,
        /// Rows after it that were looked at.
        looked: usize,
    },

    /// A split has no usable row.
    #[error("{} has no usable rows{}", .path.display(), unusable(.report))]
    Empty {
        /// The file, or the first of several.
        path: PathBuf,
        /// What became of its rows.
        report: Box<ReadReport>,
    },

    /// A row has no answer, but training and scoring need one.
    #[error(
        "row {row} of {benchmark} has no answer (label -1 or an empty answer); this split cannot be trained on or scored"
    )]
    Unlabelled {
        /// The benchmark.
        benchmark: String,
        /// The first such row, counted from 1.
        row: usize,
    },

    /// A folder has a tokenizer for other programs only.
    #[error("{} has {found} but no tokenizer.json, which is what is read", .folder.display())]
    OtherTokenizer {
        /// The folder.
        folder: PathBuf,
        /// The tokenizer that it has.
        found: &'static str,
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
        "row {row}: letter {letter} is not one token of its own after the prompt: \
         its last tokens are {tokens:?}, those of letter {other} are {other_tokens:?}"
    )]
    Unaligned {
        /// The row of the item, counted from 1.
        row: usize,
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
    #[error("row {row}: {choices} choices with answer {answer:?}, expected at least two and an answer among them")]
    InvalidItem {
        /// The row of the item, counted from 1.
        row: usize,
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

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
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

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn alike(looked: usize) -> String {
    match looked {
        0 => String::new(),
        1 => " (the row after it is alike)".into(),
        looked => format!(" (the {looked} rows after it are alike)"),
    }
}

fn unusable(report: &ReadReport) -> String {
    let ReadReport { left_out, bad_rows, bad, .. } = report;
    match (left_out, bad.first()) {
        (0, None) => String::new(),
        (_, None) => format!(": {left_out} were left out, as questions about an image are"),
        (_, Some(first)) => format!(": {left_out} were left out and {bad_rows} are bad, first {first}"),
    }
}

impl DataError {
    /// Whether one row is bad and the rows after it can still be read.
    pub fn is_about_a_row(&self) -> bool {
        matches!(
            self,
            Self::InvalidUtf8 { .. }
                | Self::InvalidJson { .. }
                | Self::Columns { .. }
                | Self::StrayQuote { .. }
                | Self::LongRow { .. }
                | Self::Row { .. }
        )
    }
}
