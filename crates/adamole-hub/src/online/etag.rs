//! Hashes, by which the hub names the content of files.

use std::fs::File;
use std::io::{Read, Result};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// The hash of a file's content, which is also its name in `blobs`: the SHA-256 of the content (64 hexadecimal
/// digits, for files in large file storage) or its name as a git blob (40 digits, a SHA-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Etag(String);

impl Etag {
    /// Takes the value of the header `ETag` or `X-Linked-ETag`, with or without its quotes.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let text = header.trim();
        let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        let is_hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_hexadecimal && matches!(text.len(), 40 | 64)).then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash of the same kind of the file at `path`.
    pub(crate) fn of_file(&self, path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let mut hash = match self.0.len() {
            64 => Context::new(&SHA256),
            _ => {
                let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                hash.update(format!("blob {}\0", file.metadata()?.len()).as_bytes());
                hash
            }
        };
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => hash.update(&buffer[..count]),
            }
        }
        Ok(Self(hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_of_large_file_storage() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "hello\n").expect("a file");
        // `git hash-object` and `sha256sum` say so.
        for hash in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            let etag = Etag::parse(&format!("\"{hash}\"")).expect(hash);
            assert_eq!(etag.of_file(&file).expect("the file's hash"), etag);
        }
    }

    #[test]
    fn nothing_else_is_an_etag() {
        for text in ["", "\"\"", "abc", "../../../../etc/passwd", &"g".repeat(40), &"A".repeat(64), &"0".repeat(41)] {
            assert!(Etag::parse(text).is_none(), "{text}");
        }
    }
}
