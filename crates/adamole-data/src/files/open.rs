//! Opening files, compressed or not.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::DataError;

/// How a text file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstandard,
}

/// The text of a file. What it is compressed with is decoded as it is read.
pub(super) fn open(path: &Path, compression: Compression) -> Result<Box<dyn Read + Send>, DataError> {
    let file = File::open(path).map_err(|source| cannot_open(path, source))?;
    Ok(match compression {
        Compression::None => Box::new(file),
        // A file may be several gzip members in a row.
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(file))),
        Compression::Zstandard => {
            let decoder = zstd::Decoder::new(file);
            Box::new(decoder.map_err(|source| DataError::Io { path: path.into(), source })?)
        }
    })
}

/// The error of a file that could not be opened: what is in its folder, if the file is not.
pub(crate) fn cannot_open(path: &Path, source: std::io::Error) -> DataError {
    if source.kind() != std::io::ErrorKind::NotFound {
        return DataError::Io { path: path.into(), source };
    }
    let names = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).map(|entries| {
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    });
    DataError::MissingFile { path: path.into(), present: names }
}
