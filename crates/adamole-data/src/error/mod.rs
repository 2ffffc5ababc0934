//! The errors between a file and a batch.

mod row;
mod shown;

use std::error::Error;
use std::path::PathBuf;

use strum::VariantNames;

use crate::benchmark::DefinitionError;
use crate::text::TextReport;
use crate::{Content, Place, ReadReport};

pub use row::{HeaderError, RowError};
pub(crate) use row::{out_of_range, unexpected, wrong_type};

/// An error of this crate. Each names the path, line, field or item, and what was expected of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No benchmark has this name.
    #[error("unknown benchmark `{name}`{}; known: {}", shown::suggestion(.nearest), .known.join(", "))]
    UnknownBenchmark {
        /// The name.
        name: String,
        /// The known name that is most like it, if any is.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// No split, order or other choice has this name.
    #[error("unknown name `{name}`; known: {}", .known.join(", "))]
    UnknownName {
        /// The name.
        name: String,
        /// All known names.
        known: &'static [&'static str],
    },
    /// A text is neither a split nor a part of one.
    #[error(
        "`{0}` is not a split or a part of one, expected for example train, train[:200], train[200:] or train[200:250]"
    )]
    SplitPart(String),
    /// A file does not exist.
    #[error("{} does not exist; {}", .path.display(), shown::contents(.present))]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// The names in its folder; `None` if the folder does not exist either.
        present: Option<Vec<String>>,
    },
    /// A file cannot be read or written.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason of the operating system.
        source: std::io::Error,
    },
    /// A symbolic link leads to a file that does not exist.
    #[error("{} is a link to {}, which does not exist", .path.display(), .target.display())]
    DeadLink {
        /// The link.
        path: PathBuf,
        /// The path that it leads to.
        target: PathBuf,
    },
    /// A path leads to something other than a regular file.
    #[error("{} is {found}, expected a file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// The content of a file is of another kind than its name says.
    #[error("{}: expected {expected}, found {found}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
        /// The content that was found.
        found: Content,
    },
    /// A TOML file does not define a benchmark.
    #[error("{}: not a benchmark: {source}", .path.display())]
    Definition {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DefinitionError,
    },
    /// A split exists more than once: in files of several kinds, under several names or in several sets of shards.
    #[error("the {split} split is there more than once; expected one of: {}", shown::paths(.paths))]
    AmbiguousSplit {
        /// The split.
        split: String,
        /// One file of each.
        paths: Vec<PathBuf>,
    },
    /// A shard of a split is missing.
    #[error("file {index} of {of} of the {split} split is missing beside {}", .beside.display())]
    MissingShard {
        /// The split.
        split: String,
        /// The missing shard, counted from 0 as in file names.
        index: usize,
        /// The number of shards.
        of: usize,
        /// A shard that exists.
        beside: PathBuf,
    },
    /// A benchmark names a file of an unknown kind.
    #[error("{}: expected a name that ends in .jsonl, .json, .csv, .tsv (perhaps with .gz or .zst) or .parquet", .0.display())]
    FileKind(PathBuf),
    /// The first line of a table does not name its columns.
    #[error("{}: the first line: {problem}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with the line.
        problem: HeaderError,
    },
    /// A Parquet file, or a page of it, cannot be decoded.
    #[error("{place}: not readable as Parquet: {message}")]
    InvalidParquet {
        /// The file, with row group and row where only these are affected.
        place: String,
        /// The reason of the decoder, with the column where it is known.
        message: String,
    },
    /// A row is not UTF-8.
    #[error("{place}: not valid UTF-8 from byte {byte} on")]
    InvalidUtf8 {
        /// The row.
        place: Place,
        /// The first bad byte of the line or cell, counted from 1.
        byte: usize,
    },
    /// A text is not a JSON object.
    #[error("{place}:{column}: expected a JSON object: {message}")]
    InvalidJson {
        /// The line.
        place: Place,
        /// The column, counted from 1.
        column: usize,
        /// The reason of the JSON parser.
        message: String,
    },
    /// A row of a table has too few or too many cells.
    #[error("{place}: expected {expected} cells, one for each column, found {found}")]
    Columns {
        /// The row.
        place: Place,
        /// The number of columns.
        expected: usize,
        /// The number of cells.
        found: usize,
    },
    /// A cell of a CSV file has quotes that do not enclose it, or that are not doubled.
    #[error("{0}: a misplaced quote: a cell that holds quotes is quoted as a whole, and its quotes are doubled")]
    StrayQuote(Place),
    /// A quote of a CSV file is not closed by the end of the file or of the longest possible row. The rows after it cannot be
    /// told from the cell.
    #[error("{0}: the cell's quote is never closed")]
    OpenQuote(Place),
    /// A JSON list of rows is incomplete or malformed.
    #[error("{place}:{column}: the list of rows breaks off: expected {expected}")]
    BrokenList {
        /// The line.
        place: Place,
        /// The column, counted from 1.
        column: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// A row of a text file is longer than the limit.
    #[error("{0}: the line is longer than {most} MiB", most = crate::files::MAX_ROW_BYTES >> 20)]
    LongRow(Place),
    /// A row does not have the fields of its benchmark or of its shape.
    #[error("{place}: {problem}")]
    Row {
        /// The row.
        place: Place,
        /// The field, and what was expected and found.
        problem: RowError,
    },
    /// The first row and the rows after it do not have the fields of their benchmark.
    #[error("{place}: {problem}{}", shown::alike(*.looked))]
    EveryRow {
        /// The first row.
        place: Place,
        /// The field, and what was expected and found.
        problem: RowError,
        /// The number of rows after it that have the same problem.
        looked: usize,
    },
    /// A split has no usable row.
    #[error("{} has no usable rows{}", .path.display(), shown::unusable(.report))]
    Empty {
        /// The file, or the first of several.
        path: PathBuf,
        /// What was read.
        report: Box<ReadReport>,
    },
    /// A TOML file does not describe the fields of text data.
    #[error("{}: not the fields of text data: {problem}", .path.display())]
    TextFields {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The names of the fields of text data are not valid.
    #[error("the fields of text data: {0}")]
    InvalidFields(String),
    /// Files of text data have no row to learn from.
    #[error("{} has no usable rows{}", .path.display(), shown::nothing(.report))]
    NoText {
        /// The file, or the first of several.
        path: PathBuf,
        /// What was read.
        report: Box<TextReport>,
    },
    /// The share of rows for validation is not a share.
    #[error("the share of rows for validation is {0}, expected a number above 0 and below 1")]
    ValidationShare(f64),
    /// The rows cannot be divided into a training and a validation part.
    #[error("no rows can be drawn for validation from {rows} of one content, expected at least two rows that differ")]
    Indivisible {
        /// The number of rows.
        rows: usize,
    },
    /// A conversation is to be encoded and has not been rendered by a chat template.
    #[error("{0}: a conversation, which a chat template has to turn into a text before it is encoded")]
    NotRendered(Place),
    /// `max_tokens` leaves no token of a text to predict.
    #[error("max_tokens is {0}, expected at least 2: a token, and one that is predicted from it")]
    TextTokens(usize),
    /// A row has no answer, which training and scoring need.
    #[error(
        "row {row} of {benchmark} has no answer (label -1 or an empty answer); this split cannot be trained on or scored"
    )]
    Unlabelled {
        /// The benchmark.
        benchmark: String,
        /// The first such row, counted from 1.
        row: usize,
    },
    /// A folder has a tokenizer only in a format that is not read.
    #[error("{} has {found} but no tokenizer.json, which is what is read", .folder.display())]
    OtherTokenizer {
        /// The folder.
        folder: PathBuf,
        /// The file of the tokenizer.
        found: &'static str,
    },
    /// A tokenizer file cannot be used.
    #[error("{} is not a usable tokenizer", .path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The reason of the tokenizer library.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A special token is declared but is not in the vocabulary.
    #[error("{}: `{key}` is {found}, expected a token of the vocabulary", .path.display())]
    SpecialToken {
        /// The file that declares it.
        path: PathBuf,
        /// `bos_token`, `eos_token`, `bos_token_id` or `eos_token_id`.
        key: &'static str,
        /// The declared value.
        found: String,
    },
    /// Texts are to end with an end-of-sequence token and the tokenizer has none.
    #[error("the tokenizer declares no end-of-sequence token, but the encoder is to append one")]
    NoEndOfSequence,
    /// The tokenizer failed on a text or on token ids.
    #[error("the tokenizer failed on {text:?}")]
    Tokenize {
        /// The text or the ids, shortened.
        text: String,
        /// The reason of the tokenizer library.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The letters of an item are not single tokens after one common prompt.
    #[error(
        "row {row}: letter {letter} is not one token of its own after the prompt: \
         its last tokens are {tokens:?}, those of letter {other} are {other_tokens:?}"
    )]
    Unaligned {
        /// The row of the item, counted from 1.
        row: usize,
        /// The letter that is not a single token.
        letter: String,
        /// The last tokens of its text.
        tokens: Vec<String>,
        /// The letter that it was compared with.
        other: String,
        /// The last tokens of that letter's text.
        other_tokens: Vec<String>,
    },
    /// An item has fewer than two choices, or an answer beyond the last one.
    #[error("row {row}: {choices} choices with answer {answer:?}, expected at least two and an answer among them")]
    InvalidItem {
        /// The row of the item, counted from 1.
        row: usize,
        /// The number of choices.
        choices: usize,
        /// The index of the answer.
        answer: Option<usize>,
    },
    /// `max_tokens` leaves no room for a token of the prompt.
    #[error(
        "max_tokens is {max_tokens}, expected at least {least}: special tokens, answer and one token of the prompt"
    )]
    MaxTokens {
        /// The limit.
        max_tokens: usize,
        /// The smallest possible limit.
        least: usize,
    },
}

impl DataError {
    /// Whether one row is bad and the rows after it can still be read.
    pub fn is_about_a_row(&self) -> bool {
        use DataError::{Columns, InvalidJson, InvalidUtf8, LongRow, Row, StrayQuote};
        matches!(
            self,
            InvalidUtf8 { .. } | InvalidJson { .. } | Columns { .. } | StrayQuote(_) | LongRow(_) | Row { .. }
        )
    }
}

/// The error of a name that no variant of `T` has.
pub(crate) fn unknown_name<T: VariantNames>(name: &str) -> DataError {
    DataError::UnknownName { name: name.into(), known: T::VARIANTS }
}
