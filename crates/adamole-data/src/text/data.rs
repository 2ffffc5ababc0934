//! Text data as a whole: its rows for training and validation, and what there is to say about them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::content::TextRow;
use super::division::{draw, groups};
use super::fields::TextFields;
use super::rows::Reader;
use super::summary::{TextSummary, ValidationOrigin};
use crate::files::{SplitFile, text as files};
use crate::{DataError, OnBadRow};

/// The share of the rows that is drawn for validation where none is set.
const DEFAULT_SHARE: f64 = 0.1;
/// The most rows that are drawn for validation where no share is set.
const MOST_DRAWN: usize = 1000;
/// The usual names of the splits.
const TRAIN: &str = "train";
const VALIDATION: &str = "validation";

/// How text data is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TextOptions {
    /// The shape of the rows, and what their fields are called.
    pub fields: TextFields,
    /// Which splits of a folder are read.
    pub splits: TextSplits,
    /// Where the rows for validation come from.
    pub validation: Validation,
    /// The seed with which a share of the rows is drawn for validation.
    pub seed: u64,
    /// What is done about a row that cannot be read.
    pub on_bad_row: OnBadRow,
    /// Whether a conversation may be without a message of the assistant.
    pub allow_without_assistant: bool,
}

/// The splits of a folder or a data set that are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextSplits {
    /// The configuration, which is a folder of its own.
    pub config: Option<String>,
    /// The training split; `None` for `train`, or for all files of a folder whose files name no split.
    pub train: Option<String>,
    /// The validation split; `None` for `validation`, if there is one.
    pub validation: Option<String>,
}

/// Where the rows for validation come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Validation {
    /// The validation split of the folder; if it has none, a tenth of the rows, at least one and at most 1000.
    #[default]
    Split,
    /// Files of their own, or a folder of which all files with rows are read.
    Files(Vec<PathBuf>),
    /// This share of the rows, above 0 and below 1.
    Share(f64),
    /// There are none.
    None,
}

/// Text data, read.
#[derive(Debug, Clone, PartialEq)]
pub struct TextData {
    /// The rows for training, in the order of the files.
    pub train: Vec<TextRow>,
    /// The rows for validation, likewise.
    pub validation: Vec<TextRow>,
    /// What was read, and how it was divided.
    pub summary: TextSummary,
}

impl TextSplits {
    /// Groups of glob patterns over the paths of a data set's files, in which a star does not match `/`. The first group that
    /// matches any file matches the files that are read.
    pub fn file_patterns(&self) -> Vec<Vec<String>> {
        files::patterns(self.config.as_deref(), &self.names())
    }

    fn train(&self) -> &str {
        self.train.as_deref().unwrap_or(TRAIN)
    }

    fn validation(&self) -> &str {
        self.validation.as_deref().unwrap_or(VALIDATION)
    }

    fn names(&self) -> [&str; 2] {
        [self.train(), self.validation()]
    }

    fn find(&self, folder: &Path, name: &str) -> Result<Option<Vec<SplitFile>>, DataError> {
        files::split(folder, self.config.as_deref(), &self.names(), name)
    }

    /// The files for training at `path`, a file or a folder.
    fn train_files(&self, path: &Path) -> Result<Vec<SplitFile>, DataError> {
        if !path.is_dir() {
            return Ok(vec![files::file(path)?]);
        }
        match (self.find(path, self.train())?, &self.train, &self.config) {
            (Some(files), ..) => Ok(files),
            (None, None, None) => files::whole_folder(path),
            (None, ..) => Err(files::missing(path, self.train())),
        }
    }

    /// The files of the validation split in `path`. `None` if it is a file, or a folder without such a split.
    fn validation_files(&self, path: &Path) -> Result<Option<Vec<SplitFile>>, DataError> {
        let found = if path.is_dir() { self.find(path, self.validation())? } else { None };
        match (&found, &self.validation) {
            (None, Some(name)) => Err(files::missing(path, name)),
            _ => Ok(found),
        }
    }
}

impl TextData {
    /// Reads text data: `paths` are files, or folders with splits.
    ///
    /// Rows in which there is nothing to learn are left out and counted. Rows of one content stay on one side when a share of the rows
    /// is drawn for validation. The draw depends on the seed and the rows alone.
    ///
    /// # Errors
    ///
    /// Those of the files and their rows, as [`RowReader`](crate::RowReader) has them; [`DataError::Row`] with the first row that is
    /// not of its shape; [`DataError::NoText`] if nothing is left to learn from; [`DataError::ValidationShare`] and
    /// [`DataError::Indivisible`] if no part can be drawn.
    pub fn read(paths: &[PathBuf], options: &TextOptions) -> Result<Self, DataError> {
        let TextOptions { fields, splits, validation, seed, on_bad_row, allow_without_assistant } = options;
        fields.check().map_err(DataError::InvalidFields)?;
        if let Validation::Share(share) = validation
            && !(*share > 0.0 && *share < 1.0)
        {
            return Err(DataError::ValidationShare(*share));
        }
        let train_files = paths.iter().map(|path| splits.train_files(path)).collect::<Result<Vec<_>, _>>()?.concat();
        let validation_files = match validation {
            Validation::Split => {
                let found = paths.iter().map(|path| splits.validation_files(path)).collect::<Result<Vec<_>, _>>()?;
                found.into_iter().flatten().flatten().collect()
            }
            Validation::Files(paths) => {
                let of = |path: &PathBuf| match path.is_dir() {
                    true => files::whole_folder(path),
                    false => files::file(path).map(|file| vec![file]),
                };
                paths.iter().map(of).collect::<Result<Vec<_>, _>>()?.concat()
            }
            Validation::Share(_) | Validation::None => Vec::new(),
        };
        let mut reader = Reader::new(fields, *on_bad_row, !allow_without_assistant);
        let (mut train, mut report) = reader.read(&train_files)?;
        let nothing = |files: &[SplitFile], report: &_| DataError::NoText {
            path: files.first().map(|file| file.path.clone()).unwrap_or_default(),
            report: Box::new(Clone::clone(report)),
        };
        let Some((shape, _)) = reader.shape.clone().filter(|_| !train.is_empty()) else {
            return Err(nothing(&train_files, &report));
        };
        let groups = groups(&train);
        let duplicates = train.len() - groups.iter().max().map_or(0, |last| last + 1);
        let (rows, origin) = match validation {
            Validation::None => (Vec::new(), ValidationOrigin::None),
            _ if !validation_files.is_empty() => {
                let (rows, of_validation) = reader.read(&validation_files)?;
                if rows.is_empty() {
                    return Err(nothing(&validation_files, &of_validation));
                }
                report.add(of_validation);
                (rows, ValidationOrigin::Files { files: paths_of(&validation_files) })
            }
            _ => {
                let share = if let Validation::Share(share) = validation { *share } else { DEFAULT_SHARE };
                let most = if matches!(validation, Validation::Share(_)) { usize::MAX } else { MOST_DRAWN };
                let count = ((train.len() as f64 * share).round() as usize).min(most);
                let drawn = draw(&groups, count, *seed);
                let drawn = drawn.ok_or_else(|| DataError::Indivisible { rows: train.len() })?;
                let mut drawn = drawn.into_iter();
                let drawn = train.extract_if(.., |_| drawn.next() == Some(true)).collect();
                let is_default = !matches!(validation, Validation::Share(_));
                (drawn, ValidationOrigin::Drawn { share, seed: *seed, is_default })
            }
        };
        let known: HashSet<_> = train.iter().map(|row| &row.content).collect();
        let in_both = rows.iter().filter(|row| known.contains(&row.content)).count();
        let summary = TextSummary {
            files: paths_of(&train_files),
            formats: formats(train_files.iter().chain(&validation_files)),
            shape,
            train_rows: train.len(),
            validation_rows: rows.len(),
            validation: origin,
            ignored: reader.ignored.into_iter().collect(),
            duplicates,
            in_both,
            report,
        };
        Ok(Self { train, validation: rows, summary })
    }
}

fn paths_of(files: &[SplitFile]) -> Vec<PathBuf> {
    files.iter().map(|file| file.path.clone()).collect()
}

/// The formats of the files, each once.
fn formats<'a>(files: impl Iterator<Item = &'a SplitFile>) -> Vec<String> {
    let mut formats: Vec<String> = files.map(|file| file.format().to_owned()).collect();
    formats.sort();
    formats.dedup();
    formats
}
