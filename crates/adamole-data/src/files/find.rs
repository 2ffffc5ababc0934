//! Which files a split is in. One declaration of the possible places serves the search in a folder and the choice of what is
//! fetched from the hub.
//!
//! Below the data set's folder there may be one for the configuration and one for the split or `data`: `train.jsonl`,
//! `data/train-00000-of-00002.parquet`, `copa/train/0000.parquet`, `default/train/0000.parquet`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::open::{Compression, cannot_open};
use crate::{Benchmark, DataError, Split};

/// The format of a file with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    /// An object per line, or one list of objects.
    Json,
    /// Columns separated by this byte, with their names in the first line.
    Separated(u8),
    Parquet,
}

/// The endings of file names, with format and compression.
pub(super) const ENDINGS: [(&str, Format, Compression); 13] = [
    (".parquet", Format::Parquet, Compression::None),
    (".jsonl", Format::Json, Compression::None),
    (".jsonl.gz", Format::Json, Compression::Gzip),
    (".jsonl.zst", Format::Json, Compression::Zstandard),
    (".json", Format::Json, Compression::None),
    (".json.gz", Format::Json, Compression::Gzip),
    (".json.zst", Format::Json, Compression::Zstandard),
    (".csv", Format::Separated(b','), Compression::None),
    (".csv.gz", Format::Separated(b','), Compression::Gzip),
    (".csv.zst", Format::Separated(b','), Compression::Zstandard),
    (".tsv", Format::Separated(b'\t'), Compression::None),
    (".tsv.gz", Format::Separated(b'\t'), Compression::Gzip),
    (".tsv.zst", Format::Separated(b'\t'), Compression::Zstandard),
];

/// A file name without its ending, the format and the compression; `None` of a name without a known ending.
pub(super) fn kind_of(name: &str) -> Option<(&str, Format, Compression)> {
    ENDINGS.iter().find_map(|(ending, format, compression)| Some((name.strip_suffix(ending)?, *format, *compression)))
}

/// The names of a split in file and folder names, the usual one first.
pub(super) fn names(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &["train"],
        Split::Validation => &["validation", "valid", "val", "dev"],
        Split::Test => &["test"],
    }
}

/// The names of the split of text data that is called `name`.
pub(super) fn names_of(name: &str) -> Vec<&str> {
    name.parse().map_or_else(|_| vec![name], |split| names(split).to_vec())
}

/// A folder in which a split may be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder<'a> {
    /// The path, which is empty or ends with a slash.
    path: String,
    /// The name of the split there.
    name: &'a str,
    /// Whether all files in the folder belong to the split.
    is_splits_own: bool,
}

/// The folders below which a benchmark's rows may be, each empty or with a slash at its end. All splits are read from below
/// the first one that has rows of any split; the other folders of a data set belong to other configurations.
fn roots(benchmark: &Benchmark) -> Vec<String> {
    let config = benchmark.hub().and_then(|hub| hub.config.as_deref());
    let own = config.into_iter().chain([benchmark.name()]).chain(benchmark.folder());
    let mut roots: Vec<String> = own.map(|name| format!("{name}/")).collect();
    roots.extend([String::new(), "default/".into()]);
    roots.dedup();
    roots
}

/// The folders below `root` in which the split of these names may be, in the order of preference. Folders that differ in the
/// split's name only form one group.
fn folders<'a>(root: &str, names: &[&'a str]) -> Vec<Vec<Folder<'a>>> {
    let paths = [root.to_owned(), format!("{root}data/")];
    let shared = paths
        .iter()
        .map(|path| names.iter().map(|name| Folder { path: path.clone(), name, is_splits_own: false }).collect());
    let own = paths.iter().map(|path| {
        names.iter().map(|name| Folder { path: format!("{path}{name}/"), name, is_splits_own: true }).collect()
    });
    shared.chain(own).collect()
}

/// The names of each split whose files the benchmark's definition does not name.
fn searched(benchmark: &Benchmark) -> Vec<Vec<&'static str>> {
    let unnamed = benchmark.splits().iter().filter(|split| benchmark.file(**split).is_none());
    unnamed.map(|split| names(*split).to_vec()).collect()
}

/// Whether programs keep a file of this name beside the rows.
pub(super) fn is_about_rows(name: &str, stem: &str) -> bool {
    name.starts_with(['.', '_']) || ["dataset_info", "dataset_infos", "state"].contains(&stem)
}

impl Folder<'_> {
    /// Shard, format and compression of a file with this name; `None` if it does not belong to the split.
    fn has(&self, name: &str) -> Option<(Option<Shard>, Format, Compression)> {
        let (stem, format, compression) = kind_of(name)?;
        let shard = Shard::parse(stem, self.name);
        let is_splits = shard.is_some() || stem == self.name || (self.is_splits_own && !is_about_rows(name, stem));
        is_splits.then_some((shard, format, compression))
    }

    /// Patterns that match every file name which [`Self::has`] accepts.
    fn patterns(&self) -> impl Iterator<Item = String> {
        let Self { path, name, is_splits_own } = self;
        let stems = if *is_splits_own { vec!["*".into()] } else { vec![(*name).to_owned(), format!("{name}-*-of-*")] };
        let of_stem = move |stem: String| ENDINGS.iter().map(move |(ending, ..)| format!("{path}{stem}{ending}"));
        stems.into_iter().flat_map(of_stem)
    }
}

/// For each of the [`roots`], glob patterns that match every file which is read for the benchmark's splits.
pub(crate) fn patterns(benchmark: &Benchmark) -> Vec<Vec<String>> {
    patterns_below(&roots(benchmark), &searched(benchmark))
}

/// For each of `roots`, glob patterns that match every file of the splits of these names.
pub(super) fn patterns_below(roots: &[String], splits: &[Vec<&str>]) -> Vec<Vec<String>> {
    let below = |root: &String| {
        let folders = splits.iter().flat_map(|names| folders(root, names)).flatten();
        folders.flat_map(|folder| folder.patterns().collect::<Vec<_>>()).collect()
    };
    roots.iter().map(below).collect()
}

/// The number of a shard, as in `train-00002-of-00005`, which a hash may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shard {
    index: usize,
    of: usize,
}

impl Shard {
    fn parse(stem: &str, split: &str) -> Option<Self> {
        let rest = stem.strip_prefix(split)?.strip_prefix('-')?;
        let mut parts = rest.splitn(4, '-');
        let (index, word, of) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { index: index.parse().ok()?, of: of.parse().ok().filter(|_| word == "of")? })
    }
}

/// A file with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SplitFile {
    pub(crate) path: PathBuf,
    pub(super) format: Format,
    pub(super) compression: Compression,
}

impl SplitFile {
    /// The name of its format.
    pub(crate) fn format(&self) -> &'static str {
        match self.format {
            Format::Json => "JSON",
            Format::Separated(b'\t') => "TSV",
            Format::Separated(_) => "CSV",
            Format::Parquet => "Parquet",
        }
    }
}

/// The files of `split` in `folder`, in the order of their rows.
///
/// The folder may be that of the benchmark, of its data set (with a folder for the configuration) or of several benchmarks.
pub(crate) fn find(benchmark: &Benchmark, folder: &Path, split: Split) -> Result<Vec<SplitFile>, DataError> {
    if let Some(name) = benchmark.file(split) {
        let path = folder.join(name);
        let (_, format, compression) = kind_of(name).ok_or_else(|| DataError::FileKind(path.clone()))?;
        return match path.exists() {
            true => Ok(vec![SplitFile { path, format, compression }]),
            false => Err(cannot_open(&path, std::io::ErrorKind::NotFound.into())),
        };
    }
    let names = names(split);
    match find_below(&roots(benchmark), &searched(benchmark), folder, names)? {
        Found::Files(files) => Ok(files),
        Found::Nothing { root } => {
            let path = folder.join(root.unwrap_or_default()).join(format!("{split}.jsonl"));
            Err(cannot_open(&path, std::io::ErrorKind::NotFound.into()))
        }
    }
}

/// What is found of a split.
pub(super) enum Found {
    /// Its files, in the order of their rows.
    Files(Vec<SplitFile>),
    /// Nothing.
    Nothing {
        /// The folder with rows of other splits, if there is one.
        root: Option<String>,
    },
}

/// The files of the split of `names` below the first of `roots` that has rows of any of `splits`.
pub(super) fn find_below(
    roots: &[String],
    splits: &[Vec<&str>],
    folder: &Path,
    names: &[&str],
) -> Result<Found, DataError> {
    let split = names.first().copied().unwrap_or_default();
    let with_rows = roots.iter().find(|root| has_rows(splits, folder, root)).cloned();
    for names in with_rows.iter().flat_map(|root| folders(root, names)) {
        let found = names.iter().map(|place| files_in(&folder.join(&place.path), place, split));
        let found: Vec<Vec<SplitFile>> = found.collect::<Result<_, _>>()?;
        // The usual name of the split has precedence.
        if let Some(files) = found.first().filter(|files| !files.is_empty()) {
            return Ok(Found::Files(files.clone()));
        }
        let mut found = found.into_iter().filter(|files| !files.is_empty());
        if let Some(files) = found.next() {
            return match found.next() {
                None => Ok(Found::Files(files)),
                Some(others) => Err(ambiguous(split, [&files[0].path, &others[0].path])),
            };
        }
    }
    Ok(Found::Nothing { root: with_rows })
}

/// Whether any split has a file below `root`.
fn has_rows(splits: &[Vec<&str>], folder: &Path, root: &str) -> bool {
    let mut places = splits.iter().flat_map(|names| folders(root, names)).flatten();
    places.any(|place| entries(&folder.join(&place.path), &place).next().is_some())
}

pub(super) fn ambiguous<'a>(split: &str, paths: impl IntoIterator<Item = &'a PathBuf>) -> DataError {
    DataError::AmbiguousSplit { split: split.to_owned(), paths: paths.into_iter().cloned().collect() }
}

/// A file, with its number if it is a shard.
type Numbered = (Option<Shard>, PathBuf);

/// The files of `split` directly in `folder`.
fn files_in(folder: &Path, place: &Folder<'_>, split: &str) -> Result<Vec<SplitFile>, DataError> {
    let mut found: BTreeMap<(Format, Compression), Vec<Numbered>> = BTreeMap::new();
    for (path, shard, format, compression) in entries(folder, place) {
        found.entry((format, compression)).or_default().push((shard, path));
    }
    if found.len() > 1 {
        return Err(ambiguous(split, found.values().map(|files| &files[0].1)));
    }
    let Some(((format, compression), mut files)) = found.into_iter().next() else { return Ok(Vec::new()) };
    files.sort();
    if let [(None, first), (None, second), ..] = files.as_slice()
        && !place.is_splits_own
    {
        return Err(ambiguous(split, [first, second]));
    }
    check_shards(&files, split)?;
    Ok(files.into_iter().map(|(_, path)| SplitFile { path, format, compression }).collect())
}

/// The entries of `folder` with a name of the split's files. Dead links, pipes and folders are among them, so that opening them
/// reports what is wrong.
fn entries(folder: &Path, place: &Folder<'_>) -> impl Iterator<Item = (PathBuf, Option<Shard>, Format, Compression)> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| {
        let (shard, format, compression) = place.has(entry.file_name().to_str()?)?;
        Some((entry.path(), shard, format, compression))
    })
}

/// Checks that the files are one complete set of shards, without duplicates.
fn check_shards(files: &[Numbered], split: &str) -> Result<(), DataError> {
    // In sorted order, files that are not shards come first.
    let Some((Some(last), path)) = files.last() else { return Ok(()) };
    for (expected, (shard, beside)) in files.iter().enumerate() {
        match shard {
            Some(Shard { index, of }) if *of == last.of && *index == expected => {}
            Some(Shard { index, of }) if *of == last.of && *index > expected => {
                return Err(DataError::MissingShard {
                    split: split.to_owned(),
                    index: expected,
                    of: *of,
                    beside: beside.clone(),
                });
            }
            _ if files.len() == 1 => {}
            _ => {
                let other = if beside == path { &files[0].1 } else { path };
                return Err(ambiguous(split, [beside, other]));
            }
        }
    }
    match files.len() < last.of {
        true => Err(DataError::MissingShard {
            split: split.to_owned(),
            index: files.len(),
            of: last.of,
            beside: path.clone(),
        }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
