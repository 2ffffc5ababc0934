//! Which files a split is in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::open::{Compression, cannot_open};
use crate::{Benchmark, DataError, Split};

/// A file with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SplitFile {
    pub(crate) path: PathBuf,
    pub(super) format: Format,
    pub(super) compression: Compression,
}

/// What a file's rows are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    JsonLines,
    /// Columns parted by this byte, their names in the first line.
    Separated(u8),
    Parquet,
}

/// The files of `split` in `folder`, in the order of their rows.
///
/// The folder may be that of the benchmark, of its data set (with a folder for the configuration) or of several
/// benchmarks, and may have a folder `data` or one for each split, as data sets on the hub have.
pub(crate) fn find(benchmark: &Benchmark, folder: &Path, split: Split) -> Result<Vec<SplitFile>, DataError> {
    if let Some(name) = benchmark.file(split) {
        let path = folder.join(name);
        let (_, format, compression) = kind_of(name).ok_or_else(|| DataError::FileKind { path: path.clone() })?;
        return match path.is_file() {
            true => Ok(vec![SplitFile { path, format, compression }]),
            false => Err(cannot_open(&path, std::io::ErrorKind::NotFound.into())),
        };
    }
    let config = benchmark.hub().and_then(|hub| hub.config.as_deref());
    let roots = config.into_iter().chain([benchmark.name()]).map(|name| folder.join(name)).chain([folder.into()]);
    for root in roots {
        for place in [root.clone(), root.join("data"), root.join(split.as_str())] {
            let files = files_in(&place, split, place.ends_with(split.as_str()))?;
            if !files.is_empty() {
                return Ok(files);
            }
        }
    }
    Err(cannot_open(&folder.join(format!("{split}.jsonl")), std::io::ErrorKind::NotFound.into()))
}

/// A file, and its place among several.
type Found = (Option<Shard>, PathBuf);

/// The files of `split` right in `folder`; all files with rows, if the folder is the split's own.
fn files_in(folder: &Path, split: Split, own_folder: bool) -> Result<Vec<SplitFile>, DataError> {
    let mut found: BTreeMap<(Format, Compression), Vec<Found>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((stem, format, compression)) = name.to_str().and_then(kind_of) else { continue };
        let shard = Shard::parse(stem, split.as_str());
        if (own_folder || stem == split.as_str() || shard.is_some()) && entry.path().is_file() {
            found.entry((format, compression)).or_default().push((shard, entry.path()));
        }
    }
    if found.len() > 1 {
        let one_of_each = found.into_values().filter_map(|files| files.into_iter().next());
        return Err(DataError::AmbiguousSplit { split, paths: one_of_each.map(|(_, path)| path).collect() });
    }
    let Some(((format, compression), mut files)) = found.into_iter().next() else { return Ok(Vec::new()) };
    files.sort();
    check_shards(&files, split)?;
    Ok(files.into_iter().map(|(_, path)| SplitFile { path, format, compression }).collect())
}

/// A file name without its endings, and what these say of its content; `None` if it is no file with rows.
fn kind_of(name: &str) -> Option<(&str, Format, Compression)> {
    let (name, compression) = match name.rsplit_once('.')? {
        (stem, "gz") => (stem, Compression::Gzip),
        (stem, "zst") => (stem, Compression::Zstandard),
        _ => (name, Compression::None),
    };
    let (stem, format) = match name.rsplit_once('.')? {
        (stem, "jsonl") => (stem, Format::JsonLines),
        (stem, "csv") => (stem, Format::Separated(b',')),
        (stem, "tsv") => (stem, Format::Separated(b'\t')),
        (stem, "parquet") if compression == Compression::None => (stem, Format::Parquet),
        _ => return None,
    };
    Some((stem, format, compression))
}

/// The place of a file among those of a split: `train-00002-of-00005`, perhaps with a hash at its end.
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

/// Whether every file is there that the names of the others speak of.
fn check_shards(files: &[Found], split: Split) -> Result<(), DataError> {
    let [(Some(Shard { of, .. }), first), ..] = files else { return Ok(()) };
    let indices: Vec<Option<usize>> = files.iter().map(|(shard, _)| shard.map(|shard| shard.index)).collect();
    match (0..*of).find(|index| !indices.contains(&Some(*index))) {
        Some(index) => Err(DataError::MissingShard { split, index, of: *of, beside: first.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(benchmark: &str, files: &[&str]) -> Result<Vec<String>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = find(Benchmark::by_name(benchmark).unwrap(), folder.path(), Split::Train)?;
        let relative = |file: SplitFile| file.path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
        Ok(found.into_iter().map(relative).collect())
    }

    #[test]
    fn the_usual_layouts_are_known() {
        for file in [
            "train.jsonl",
            "train.jsonl.gz",
            "train.jsonl.zst",
            "train.csv",
            "train.tsv.gz",
            "train.parquet",
            "cb/train.jsonl",
            "cb/train-00000-of-00001.parquet",
            "data/train-00000-of-00001-8a2b6d4c.parquet",
            "cb/train/0000.parquet",
        ] {
            assert_eq!(find_in("cb", &[file, "validation.jsonl", "README.md"]).unwrap(), [file]);
        }
        assert_eq!(find_in("piqa", &["plain_text/train/0000.parquet"]).unwrap(), ["plain_text/train/0000.parquet"]);
        assert_eq!(find_in("piqa", &["piqa/train.jsonl", "copa/train.jsonl"]).unwrap(), ["piqa/train.jsonl"]);
    }

    #[test]
    fn shards_come_in_order_and_whole() {
        let shards = ["train-00001-of-00003.parquet", "train-00002-of-00003.parquet", "train-00000-of-00003.parquet"];
        let mut sorted = shards;
        sorted.sort();
        assert_eq!(find_in("cb", &shards).unwrap(), sorted);
        let error = find_in("cb", &shards[..2]).unwrap_err();
        assert!(matches!(error, DataError::MissingShard { index: 0, of: 3, .. }), "{error}");
    }

    #[test]
    fn two_kinds_of_files_for_one_split_are_an_error() {
        let error = find_in("cb", &["train.jsonl", "train.csv"]).unwrap_err().to_string();
        assert!(error.contains("train.jsonl") && error.contains("train.csv"), "{error}");
    }
}
