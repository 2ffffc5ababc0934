//! Files that stand for others: what is left where a large file was not fetched or not copied along. And what is no file.

use crate::{ModelError, regular_file};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What Git LFS leaves in the place of a file begins so.
pub(crate) const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Ends of the names of files that are read of a model or an adapter.
const READ: [&str; 5] = [".json", ".safetensors", ".bin", ".model", ".jinja"];

/// Files that stand for others are no longer than this.
const LONGEST: u64 = 1024;

/// That no file of a model's or an adapter's folder only stands for another one: a link that leads nowhere, as in a
/// snapshot of a hub cache that was copied without its blobs; the text of such a link, as it is unpacked where there are
/// no links; a pointer of Git LFS. Nor is one a named pipe or a device, which could be waited for.
///
/// # Errors
/// One is; the first is named. A folder that cannot be listed is no error here.
pub fn check_for_placeholders(folder: &Path) -> Result<(), ModelError> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_read = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        READ.iter().any(|end| name.ends_with(end))
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_read).collect();
    paths.sort();
    paths.iter().try_for_each(|path| check(path))
}

fn check(path: &Path) -> Result<(), ModelError> {
    let dead = |target: PathBuf| Err(ModelError::DeadLink { path: path.to_owned(), target });
    let Ok(metadata) = fs::metadata(path) else {
        return fs::read_link(path).map_or(Ok(()), dead);
    };
    if metadata.is_dir() || metadata.len() > LONGEST {
        return Ok(());
    }
    regular_file::check(path)?;
    let Ok(bytes) = fs::read(path) else { return Ok(()) };
    if bytes.starts_with(LFS_POINTER) {
        return Err(ModelError::LfsPointer { path: path.to_owned(), size: bytes.len() });
    }
    let is_link =
        |text: &&str| text.starts_with("../") && text.contains("blobs/") && !text.contains(char::is_whitespace);
    match std::str::from_utf8(&bytes).ok().map(str::trim_end).filter(is_link) {
        Some(target) => dead(target.into()),
        None => Ok(()),
    }
}
