//! Opening files: compressed or not, and refused where they are not text.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use crate::DataError;

/// How a text file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstandard,
}

/// The kind of a file that is not the text it should be, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[non_exhaustive]
pub enum Content {
    /// UTF-16, which Windows programs call "Unicode".
    #[strum(to_string = "text in UTF-16")]
    Utf16,
    /// UTF-32.
    #[strum(to_string = "text in UTF-32")]
    Utf32,
    /// A gzip file whose name does not end in `.gz`.
    #[strum(to_string = "compressed with gzip")]
    Gzip,
    /// A Zstandard file whose name does not end in `.zst`.
    #[strum(to_string = "compressed with Zstandard")]
    Zstandard,
    /// A Parquet file with the name of a text file.
    #[strum(to_string = "a Parquet file")]
    Parquet,
    /// A ZIP archive, or an Excel workbook.
    #[strum(to_string = "a ZIP archive or a spreadsheet")]
    Zip,
    /// A pointer of Git LFS in place of the file.
    #[strum(to_string = "a pointer of Git LFS, not the file itself")]
    LfsPointer,
    /// The target of a symbolic link that was copied as a file.
    #[strum(to_string = "the path of a link, not the file itself")]
    LinkText,
    /// A web page that a server sent in place of the file.
    #[strum(to_string = "a web page")]
    WebPage,
}

impl Content {
    /// The kind of a file that starts with `bytes`; `None` of a text that is read.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let starts = |with: &[u8]| bytes.starts_with(with);
        let starts_as = |with: &str| {
            let start = bytes.trim_ascii_start();
            start.len() >= with.len() && start[..with.len()].eq_ignore_ascii_case(with.as_bytes())
        };
        Some(match bytes {
            _ if starts(b"\xff\xfe\0\0") || starts(b"\0\0\xfe\xff") => Self::Utf32,
            _ if starts(b"\xff\xfe") || starts(b"\xfe\xff") => Self::Utf16,
            // Every other byte of an ASCII text in UTF-16 is zero; a text that is read holds no zeros.
            [a, 0, b, 0, ..] | [0, a, 0, b, ..] if *a > 0 && *b > 0 => Self::Utf16,
            _ if starts(b"\x1f\x8b") => Self::Gzip,
            _ if starts(b"\x28\xb5\x2f\xfd") => Self::Zstandard,
            _ if starts(b"PAR1") => Self::Parquet,
            _ if starts(b"PK\x03\x04") => Self::Zip,
            _ if starts(b"version https://git-lfs") => Self::LfsPointer,
            _ if starts(b"../") => Self::LinkText,
            _ if starts_as("<!doctype html") || starts_as("<html") => Self::WebPage,
            _ => return None,
        })
    }
}

/// The bytes of a text file, decompressed while they are read.
pub(super) type Text = BufReader<Box<dyn Read + Send>>;

/// How many bytes at the start of a file tell its kind.
const PREFIX: u64 = 64;

/// Opens a text file and returns its first bytes beside it, both without a byte-order mark, which some editors write.
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

/// Opens a regular file. A pipe, on which a reader could wait for ever, is refused.
pub(super) fn open_file(path: &Path) -> Result<File, DataError> {
    let metadata = fs::metadata(path).map_err(|source| cannot_open(path, source))?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "a pipe, a socket or a device" };
        return Err(DataError::NotAFile { path: path.into(), found });
    }
    File::open(path).map_err(|source| cannot_open(path, source))
}

/// The whole text of a file.
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

/// The error of a file that cannot be opened: with its target if it is a dead link, with the names in its folder if it does
/// not exist.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_first_bytes() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert_eq!(Content::of(&utf16("\u{feff}{}")), Some(Content::Utf16));
        assert_eq!(Content::of(&utf16("{\"a\"")), Some(Content::Utf16));
        assert_eq!(Content::of(b"\0i\0d"), Some(Content::Utf16));
        assert_eq!(Content::of(b"\n<!DOCTYPE HTML><title>"), Some(Content::WebPage));
        for text in ["", "{", "\u{feff}{}", "idx\tpremise", "PAR", "version,https", "\u{e9}t\u{e9}"] {
            assert_eq!(Content::of(text.as_bytes()), None, "{text:?}");
        }
    }
}
