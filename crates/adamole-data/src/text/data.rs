//! Text data as a whole: its rows for training and validation, and what there is to say about them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::content::TextRow;
use super::division::{draw, groups};
use super::fields::TextFields;
use super::rows::{Reader, TextReport};
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
        options.check()?;
        let train_files = options.train_files(paths)?;
        let validation_files = options.validation_files(paths)?;
        let mut reader = Reader::new(&options.fields, options.on_bad_row, !options.allow_without_assistant);
        let (mut train, mut report) = reader.read(&train_files)?;
        let Some((shape, _)) = reader.shape.clone().filter(|_| !train.is_empty()) else {
            return Err(nothing_in(&train_files, report));
        };
        let groups = groups(&train);
        let duplicates = train.len() - groups.iter().max().map_or(0, |last| last + 1);
        let (validation, origin) = if validation_files.is_empty() {
            options.draw_from(&mut train, &groups)?
        } else {
            let (rows, of_validation) = reader.read(&validation_files)?;
            if rows.is_empty() {
                return Err(nothing_in(&validation_files, of_validation));
            }
            report.add(of_validation);
            (rows, ValidationOrigin::Files { files: paths_of(&validation_files) })
        };
        let known: HashSet<_> = train.iter().map(|row| &row.content).collect();
        let in_both = validation.iter().filter(|row| known.contains(&row.content)).count();
        let summary = TextSummary {
            files: paths_of(&train_files),
            formats: formats(train_files.iter().chain(&validation_files)),
            shape,
            train_rows: train.len(),
            validation_rows: validation.len(),
            validation: origin,
            ignored: reader.ignored.into_iter().collect(),
            duplicates,
            in_both,
            report,
        };
        Ok(Self { train, validation, summary })
    }
}

impl TextOptions {
    fn check(&self) -> Result<(), DataError> {
        self.fields.check().map_err(DataError::InvalidFields)?;
        match self.validation {
            Validation::Share(share) if !(share > 0.0 && share < 1.0) => Err(DataError::ValidationShare(share)),
            _ => Ok(()),
        }
    }

    fn train_files(&self, paths: &[PathBuf]) -> Result<Vec<SplitFile>, DataError> {
        let files = paths.iter().map(|path| self.splits.train_files(path));
        Ok(files.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The files for validation; none if there is no validation part, or if it is to be drawn.
    fn validation_files(&self, paths: &[PathBuf]) -> Result<Vec<SplitFile>, DataError> {
        let files: Vec<Vec<SplitFile>> = match &self.validation {
            Validation::Split => {
                let found = paths.iter().map(|path| self.splits.validation_files(path));
                found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
            }
            Validation::Files(paths) => {
                let of = |path: &PathBuf| match path.is_dir() {
                    true => files::whole_folder(path),
                    false => files::file(path).map(|file| vec![file]),
                };
                paths.iter().map(of).collect::<Result<_, _>>()?
            }
            Validation::Share(_) | Validation::None => Vec::new(),
        };
        Ok(files.concat())
    }

    /// Takes the rows for validation out of those for training, if there is to be a validation part.
    fn draw_from(
        &self,
        train: &mut Vec<TextRow>,
        groups: &[usize],
    ) -> Result<(Vec<TextRow>, ValidationOrigin), DataError> {
        let (share, most, is_default) = match self.validation {
            Validation::None => return Ok((Vec::new(), ValidationOrigin::None)),
            Validation::Share(share) => (share, usize::MAX, false),
            Validation::Split | Validation::Files(_) => (DEFAULT_SHARE, MOST_DRAWN, true),
        };
        let count = ((train.len() as f64 * share).round() as usize).min(most);
        let drawn = draw(groups, count, self.seed).ok_or_else(|| DataError::Indivisible { rows: train.len() })?;
        let mut drawn = drawn.into_iter();
        let validation = train.extract_if(.., |_| drawn.next() == Some(true)).collect();
        Ok((validation, ValidationOrigin::Drawn { share, seed: self.seed, is_default }))
    }
}

/// The error of files in which there is nothing to learn.
fn nothing_in(files: &[SplitFile], report: TextReport) -> DataError {
    let path = files.first().map(|file| file.path.clone()).unwrap_or_default();
    DataError::NoText { path, report: Box::new(report) }
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
