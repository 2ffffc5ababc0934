//! Which files a split is in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{Folder, Format, Shard, folders, kind_of, roots, searched};
use super::open::{Compression, cannot_open};
use crate::{Benchmark, DataError, Split};

/// A file with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SplitFile {
    pub(crate) path: PathBuf,
    pub(super) format: Format,
    pub(super) compression: Compression,
}

/// The files of `split` in `folder`, in the order of their rows.
///
/// The folder may be that of the benchmark, of its data set (with a folder for the configuration) or of several
/// benchmarks; [`folders`] knows where in it the split may be.
pub(crate) fn find(benchmark: &Benchmark, folder: &Path, split: Split) -> Result<Vec<SplitFile>, DataError> {
    if let Some(name) = benchmark.file(split) {
        let path = folder.join(name);
        let (_, format, compression) = kind_of(name).ok_or_else(|| DataError::FileKind { path: path.clone() })?;
        return match path.exists() {
            true => Ok(vec![SplitFile { path, format, compression }]),
            false => Err(cannot_open(&path, std::io::ErrorKind::NotFound.into())),
        };
    }
    let with_rows = roots(benchmark).into_iter().find(|root| has_rows(benchmark, folder, root));
    for names in with_rows.iter().flat_map(|root| folders(root, split)) {
        let found = names.iter().map(|place| files_in(&folder.join(&place.path), place, split));
        let found: Vec<Vec<SplitFile>> = found.collect::<Result<_, _>>()?;
        // The usual name counts before the others.
        if let Some(files) = found.first().filter(|files| !files.is_empty()) {
            return Ok(files.clone());
        }
        let mut found = found.into_iter().filter(|files| !files.is_empty());
        if let Some(files) = found.next() {
            return match found.next() {
                None => Ok(files),
                Some(others) => Err(ambiguous(split, [&files[0].path, &others[0].path])),
            };
        }
    }
    let folder = folder.join(with_rows.unwrap_or_default());
    Err(cannot_open(&folder.join(format!("{split}.jsonl")), std::io::ErrorKind::NotFound.into()))
}

/// Whether any split has a file below `root`.
fn has_rows(benchmark: &Benchmark, folder: &Path, root: &str) -> bool {
    let mut places = searched(benchmark).flat_map(|split| folders(root, split)).flatten();
    places.any(|place| entries(&folder.join(&place.path), &place).next().is_some())
}

fn ambiguous<'a>(split: Split, paths: impl IntoIterator<Item = &'a PathBuf>) -> DataError {
    DataError::AmbiguousSplit { split, paths: paths.into_iter().cloned().collect() }
}

/// A file, and its place among several.
type Found = (Option<Shard>, PathBuf);

/// The files of `split` right in `folder`.
fn files_in(folder: &Path, place: &Folder, split: Split) -> Result<Vec<SplitFile>, DataError> {
    let mut found: BTreeMap<(Format, Compression), Vec<Found>> = BTreeMap::new();
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

/// What lies right in `folder` under a name that the split's files have. A link to nothing, a pipe and a folder are
/// among it: when they are opened, it is said what is wrong with them.
fn entries(folder: &Path, place: &Folder) -> impl Iterator<Item = (PathBuf, Option<Shard>, Format, Compression)> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| {
        let (shard, format, compression) = place.has(entry.file_name().to_str()?)?;
        Some((entry.path(), shard, format, compression))
    })
}

/// Whether the files are of one set: every one that their names speak of, and none twice.
fn check_shards(files: &[Found], split: Split) -> Result<(), DataError> {
    // Sorted, files that are no shards come first.
    let Some((Some(last), path)) = files.last() else { return Ok(()) };
    for (expected, (shard, beside)) in files.iter().enumerate() {
        match shard {
            Some(Shard { index, of }) if *of == last.of && *index == expected => {}
            Some(Shard { index, of }) if *of == last.of && *index > expected => {
                return Err(DataError::MissingShard { split, index: expected, of: *of, beside: beside.clone() });
            }
            _ if files.len() == 1 => {}
            _ => {
                let other = if beside == path { &files[0].1 } else { path };
                return Err(ambiguous(split, [beside, other]));
            }
        }
    }
    match files.len() < last.of {
        true => Err(DataError::MissingShard { split, index: files.len(), of: last.of, beside: path.clone() }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::patterns;
    use super::*;

    /// Whether a name is what a pattern with stars describes.
    fn matches(pattern: &str, name: &str) -> bool {
        let mut rest = Some(name);
        for (i, part) in pattern.split('*').enumerate() {
            rest = rest.and_then(|rest| match i {
                0 => rest.strip_prefix(part),
                _ => rest.find(part).filter(|at| !rest[..*at].contains('/')).map(|at| &rest[at + part.len()..]),
            });
        }
        rest.is_some_and(|rest| rest.is_empty() || pattern.ends_with('*'))
    }

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
            "CB/train.jsonl",
            "default/train/0000.parquet",
            "default/train-00000-of-00001.parquet",
            "train/part-0.jsonl.gz",
            "data/train.csv",
            "data/train/a.parquet",
            "train.json",
        ] {
            let validation = if file.starts_with("default/") { "default/validation.jsonl" } else { "validation.jsonl" };
            let beside = [validation, "README.md", "train/dataset_info.json", "train/_SUCCESS.json"];
            assert_eq!(find_in("cb", &[&[file], &beside[..]].concat()).unwrap(), [file]);
            assert!(
                patterns(Benchmark::by_name("cb").unwrap()).concat().iter().any(|pattern| matches(pattern, file)),
                "{file}"
            );
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
        for other in ["train.csv", "train.json"] {
            let error = find_in("cb", &["train.jsonl", other]).unwrap_err().to_string();
            assert!(error.contains("train.jsonl") && error.contains(other), "{error}");
        }
    }

    #[test]
    fn all_splits_are_below_one_folder() {
        let error = find_in("copa", &["copa/validation.jsonl", "data/train.jsonl"]).unwrap_err().to_string();
        assert!(error.ends_with("copa/train.jsonl does not exist; its folder has: validation.jsonl"), "{error}");
    }

    #[test]
    fn rows_are_not_read_twice() {
        for files in [
            ["train.parquet", "train-00000-of-00001.parquet"],
            ["data/train-00000-of-00001-a.parquet", "data/train-00000-of-00001-b.parquet"],
            ["data/train-00000-of-00001.parquet", "data/train-00000-of-00002.parquet"],
        ] {
            let error = find_in("cb", &files).unwrap_err();
            assert!(matches!(error, DataError::AmbiguousSplit { .. }), "{files:?}: {error}");
        }
    }

    #[test]
    fn a_split_has_other_names_too() {
        let find = |files: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                std::fs::create_dir_all(folder.path().join(file).parent().unwrap()).unwrap();
                std::fs::write(folder.path().join(file), "").unwrap();
            }
            let found = find(Benchmark::by_name("cb").unwrap(), folder.path(), Split::Validation)?;
            Ok::<_, DataError>(found[0].path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned())
        };
        for file in ["val.jsonl", "dev.tsv", "valid.csv", "dev/a.parquet", "data/val-00000-of-00001.parquet"] {
            assert_eq!(find(&[file, "train.jsonl"]).unwrap(), file);
            assert_eq!(find(&["validation.jsonl", file]).unwrap(), "validation.jsonl");
        }
        assert!(matches!(find(&["val.jsonl", "dev.jsonl"]), Err(DataError::AmbiguousSplit { .. })));
    }
}
