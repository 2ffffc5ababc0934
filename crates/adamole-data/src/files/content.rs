//! What a file holds where it should hold rows as text.

use std::fmt;

/// What the first bytes of a file say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Text as Windows' programs save it as "Unicode".
    Utf16,
    /// Text in four bytes a character.
    Utf32,
    /// Compressed, under a name without `.gz`.
    Gzip,
    /// Compressed, under a name without `.zst`.
    Zstandard,
    /// Parquet, under the name of a text file.
    Parquet,
    /// An archive; also what Excel saves.
    Zip,
    /// What Git has in place of a large file.
    LfsPointer,
    /// What is left of a link where it was copied as if it were a file.
    LinkText,
    /// What a server sends instead of a file.
    WebPage,
}

impl Content {
    /// What `bytes` are the beginning of, if that is none of the texts that are read.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let starts = |with: &[u8]| bytes.starts_with(with);
        let starts_as = |with: &str| {
            let start = bytes.trim_ascii_start();
            start.len() >= with.len() && start[..with.len()].eq_ignore_ascii_case(with.as_bytes())
        };
        Some(match bytes {
            _ if starts(b"\xff\xfe\0\0") || starts(b"\0\0\xfe\xff") => Self::Utf32,
            _ if starts(b"\xff\xfe") || starts(b"\xfe\xff") => Self::Utf16,
            // No text that is read holds zeros; in UTF-16 every other byte of an ASCII text is one.
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

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf16 => "text in UTF-16",
            Self::Utf32 => "text in UTF-32",
            Self::Gzip => "compressed with gzip",
            Self::Zstandard => "compressed with Zstandard",
            Self::Parquet => "a Parquet file",
            Self::Zip => "a ZIP archive or a spreadsheet",
            Self::LfsPointer => "a pointer of Git LFS, not the file itself",
            Self::LinkText => "the path of a link, not the file itself",
            Self::WebPage => "a web page",
        })
    }
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
