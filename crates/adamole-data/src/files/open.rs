//! Opening files, compressed or not.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use super::content::Content;
use crate::DataError;

/// How a text file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstandard,
}

/// The bytes of a text, decompressed as they are read.
pub(super) type Text = BufReader<Box<dyn Read + Send>>;

/// As much of a file's beginning as tells what it is.
const PREFIX: u64 = 64;

/// Opens a text and looks at how it begins. A byte-order mark is left out: some editors put one at the start of a file.
pub(super) fn open_text(path: &Path, compression: Compression) -> Result<(Text, Vec<u8>), DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let file = open_file(path)?;
    let mut inner: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(file),
        // A file may be several gzip members in a row.
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(file))),
        Compression::Zstandard => Box::new(zstd::Decoder::new(file).map_err(io)?),
    };
    let mut prefix = Vec::new();
    inner.by_ref().take(PREFIX).read_to_end(&mut prefix).map_err(io)?;
    if let Some(found) = Content::of(&prefix) {
        return Err(DataError::Content { path: path.into(), expected: "text in UTF-8", found });
    }
    if prefix.starts_with("\u{feff}".as_bytes()) {
        prefix.drain(..3);
    }
    Ok((BufReader::new(Box::new(Cursor::new(prefix.clone()).chain(inner))), prefix))
}

/// Opens a file, and nothing that would be waited for, such as a pipe.
pub(super) fn open_file(path: &Path) -> Result<File, DataError> {
    let metadata = fs::metadata(path).map_err(|source| cannot_open(path, source))?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "a pipe, a socket or a device" };
        return Err(DataError::NotAFile { path: path.into(), found });
    }
    File::open(path).map_err(|source| cannot_open(path, source))
}

/// All of a file of text.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    open_file(path)?.read_to_end(&mut bytes).map_err(io)?;
    match Content::of(&bytes) {
        Some(found) => Err(DataError::Content { path: path.into(), expected: "text in UTF-8", found }),
        None => {
            String::from_utf8(bytes).map_err(|error| io(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
        }
    }
}

/// The error of a file that could not be opened: where it leads to if it is a link, what is in its folder if it is not
/// there.
pub(crate) fn cannot_open(path: &Path, source: io::Error) -> DataError {
    if source.kind() != io::ErrorKind::NotFound {
        return DataError::Io { path: path.into(), source };
    }
    if let Ok(target) = fs::read_link(path) {
        return DataError::DeadLink { path: path.into(), target };
    }
    let names = path.parent().and_then(|folder| fs::read_dir(folder).ok()).map(|entries| {
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    });
    DataError::MissingFile { path: path.into(), present: names }
}
