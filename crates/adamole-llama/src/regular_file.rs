//! Opening files that come from outside: what is not a file is refused before anything waits for it.

use crate::ModelError;
use std::{
    fs::{self, File, FileType},
    io,
    path::Path,
};

/// Opens a file for reading. Links are followed.
///
/// # Errors
/// There is no such file; the link leads nowhere; or it is a folder, a named pipe, a socket or a device, which could be
/// waited for or read for ever.
pub(crate) fn open(path: &Path) -> Result<File, ModelError> {
    check(path)?;
    File::open(path).map_err(ModelError::io(path))
}

/// The text of a file; the errors are those of [`open`].
pub(crate) fn read_to_string(path: &Path) -> Result<String, ModelError> {
    check(path)?;
    fs::read_to_string(path).map_err(ModelError::io(path))
}

/// Whether there is something of this name, be it a link that leads nowhere.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// That `path` is a file that can be read to its end.
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
    if file_type.is_dir() { "a folder" } else { "no file" }
}
