//! The files of text data: given one by one, or as a folder with splits.

use std::path::Path;

use super::find::{
    ENDINGS, Found, SplitFile, ambiguous, find_below, is_about_rows, kind_of, names, names_of, patterns_below,
};
use super::open::cannot_open;
use crate::{DataError, Split};

/// The folders of a configuration's rows, each empty or with a slash at its end.
fn roots(config: Option<&str>) -> Vec<String> {
    config.into_iter().map(|config| format!("{config}/")).chain([String::new(), "default/".into()]).collect()
}

/// Groups of glob patterns, of which the first that matches any file of a data set matches those of the splits of these names. The
/// last is that of a data set whose files name no split.
pub(crate) fn patterns(config: Option<&str>, splits: &[&str]) -> Vec<Vec<String>> {
    let splits: Vec<Vec<&str>> = splits.iter().map(|name| names_of(name)).collect();
    let mut groups = patterns_below(&roots(config), &splits);
    groups.push(ENDINGS.iter().map(|(ending, ..)| format!("*{ending}")).collect());
    groups
}

/// The file at `path`, which the user has named.
pub(crate) fn file(path: &Path) -> Result<SplitFile, DataError> {
    if !path.exists() {
        return Err(cannot_open(path, std::io::ErrorKind::NotFound.into()));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (_, format, compression) = kind_of(name).ok_or_else(|| DataError::FileKind(path.into()))?;
    Ok(SplitFile { path: path.into(), format, compression })
}

/// The files of the split `name` in a folder, where `splits` are all names that are looked for. `None` if it does not have the split.
pub(crate) fn split(
    folder: &Path,
    config: Option<&str>,
    splits: &[&str],
    name: &str,
) -> Result<Option<Vec<SplitFile>>, DataError> {
    let splits: Vec<Vec<&str>> = splits.iter().map(|name| names_of(name)).collect();
    Ok(match find_below(&roots(config), &splits, folder, &names_of(name))? {
        Found::Files(files) => Some(files),
        Found::Nothing { .. } => None,
    })
}

/// All files with rows directly in a folder, of whose files none has the name of a split.
pub(crate) fn whole_folder(folder: &Path) -> Result<Vec<SplitFile>, DataError> {
    let mut entries: Vec<String> = std::fs::read_dir(folder)
        .map_err(|source| cannot_open(folder, source))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    entries.sort();
    let is_rows = |name: &&String| kind_of(name).is_some_and(|(stem, ..)| !is_about_rows(name, stem));
    let rows: Vec<&String> = entries.iter().filter(is_rows).collect();
    let mut others = [Split::Validation, Split::Test].into_iter().flat_map(names);
    if others.any(|split| rows.iter().any(|name| is_of(name, split))) {
        return Err(missing(folder, "train"));
    }
    let files: Vec<SplitFile> = rows.into_iter().map(|name| file(&folder.join(name))).collect::<Result<_, _>>()?;
    let Some(first) = files.first() else { return Err(missing(folder, "train")) };
    let other = files.iter().find(|file| (file.format, file.compression) != (first.format, first.compression));
    match other {
        Some(other) => Err(ambiguous("train", [&first.path, &other.path])),
        None => Ok(files),
    }
}

/// Whether a file's name begins with that of a split, as `test_sft.jsonl` does and `testimony.jsonl` does not.
fn is_of(name: &str, split: &str) -> bool {
    name.strip_prefix(split).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// The error of a folder that does not have a split.
pub(crate) fn missing(folder: &Path, split: &str) -> DataError {
    cannot_open(&folder.join(format!("{split}.jsonl")), std::io::ErrorKind::NotFound.into())
}
