//! Opening files of models and adapters. Named pipes, broken links and placeholders are refused before they are read.

use crate::ModelError;
use std::{
    fs::{self, File, FileType},
    io,
    path::{Path, PathBuf},
};

/// The first bytes of a Git LFS pointer.
pub(crate) const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Name endings of the files that are read from a model or adapter folder.
const READ: [&str; 5] = [".json", ".safetensors", ".bin", ".model", ".jinja"];

/// The size limit of placeholders in bytes.
const LARGEST_PLACEHOLDER: u64 = 1024;

/// Opens a file for reading. Links are followed.
///
/// # Errors
/// The file does not exist, is a broken link, or is not a regular file: reading a named pipe, a socket or a device may
/// never end.
pub(crate) fn open(path: &Path) -> Result<File, ModelError> {
    check(path)?;
    File::open(path).map_err(ModelError::io(path))
}

/// Reads a file as text. The errors are those of [`open`].
pub(crate) fn read_to_string(path: &Path) -> Result<String, ModelError> {
    check(path)?;
    fs::read_to_string(path).map_err(ModelError::io(path))
}

/// Whether the path exists. Broken links do.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Checks that `path` is a regular file.
pub(crate) fn check(path: &Path) -> Result<(), ModelError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) => Err(ModelError::NotAFile { path: path.to_owned(), found: kind(metadata.file_type()) }),
        Err(source) => Err(match (source.kind(), fs::read_link(path)) {
            (io::ErrorKind::NotFound, Ok(target)) => ModelError::DeadLink { path: path.to_owned(), target },
            _ => ModelError::Io { path: path.to_owned(), source },
        }),
    }
}

fn kind(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a named pipe";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    if file_type.is_dir() { "a folder" } else { "not a regular file" }
}

/// Checks that the files of a model or adapter folder are regular files and not placeholders: broken links, as in a
/// snapshot of a hub cache that was copied without its blobs; the text of such a link, where an archive was unpacked
/// without link support; Git LFS pointers.
///
/// # Errors
/// The first file that is not. A folder that cannot be listed is not an error here.
pub(crate) fn check_folder(folder: &Path) -> Result<(), ModelError> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_read = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        READ.iter().any(|end| name.ends_with(end))
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_read).collect();
    paths.sort();
    paths.iter().try_for_each(|path| check_content(path))
}

fn check_content(path: &Path) -> Result<(), ModelError> {
    let dead = |target: PathBuf| Err(ModelError::DeadLink { path: path.to_owned(), target });
    let Ok(metadata) = fs::metadata(path) else {
        return fs::read_link(path).map_or(Ok(()), dead);
    };
    if metadata.is_dir() || metadata.len() > LARGEST_PLACEHOLDER {
        return Ok(());
    }
    check(path)?;
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
