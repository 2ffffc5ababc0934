//! A Parquet file that allocates no more memory for a page than it can hold.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Every page may have this size; writers aim at 1 MiB.
const ALWAYS: u64 = 64 << 20;

/// The most bytes of a larger page for each compressed byte. Deflate cannot exceed this, and Zstandard only on repetitions,
/// which Parquet's dictionaries remove first.
const RATIO: u64 = 1024;

/// A file whose page headers are checked before the library allocates the sizes in them.
pub(super) struct Pages {
    file: File,
    length: u64,
}

impl Pages {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Pages {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut reader = self.file.get_read(start)?;
        match sizes(reader.fill_buf()?) {
            Some((size, compressed)) if size > ALWAYS && size / RATIO > compressed => {
                Err(ParquetError::General(format!("a page of {compressed} bytes is said to hold {size}")))
            }
            _ => Ok(reader),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        match start.checked_add(length as u64) {
            Some(end) if end <= self.length => self.file.get_bytes(start, length),
            _ => Err(ParquetError::EOF(format!("{length} bytes at {start} of a file of {}", self.length))),
        }
    }
}

/// The sizes of a page, plain and compressed, from its header: in Thrift's compact protocol the second and the third of three
/// 32-bit integers. `None` of anything else, such as the end of the file.
fn sizes(mut header: &[u8]) -> Option<(u64, u64)> {
    let mut number = || {
        // A field of type 5, its number one more than that before.
        header = header.strip_prefix(&[0x15])?;
        let length = header.iter().take(5).position(|byte| byte & 0x80 == 0)? + 1;
        let (digits, rest) = header.split_at(length);
        header = rest;
        let zigzag = digits.iter().rev().fold(0, |number, digit| number << 7 | u64::from(digit & 0x7f));
        Some(if zigzag % 2 == 0 { zigzag / 2 } else { 0 })
    };
    let (_kind, size, compressed) = (number()?, number()?, number()?);
    Some((size, compressed))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The header of a page of so many bytes in three.
    fn header(size: i32) -> Vec<u8> {
        let mut digits = u64::try_from(size).unwrap() * 2;
        let mut header = vec![0x15, 0x00, 0x15];
        while digits > 0x7f {
            header.push(digits as u8 | 0x80);
            digits >>= 7;
        }
        header.extend([digits as u8, 0x15, 0x06, 0x2c]);
        header
    }

    #[test]
    fn a_page_that_cannot_hold_what_it_says_is_refused_before_memory_is_taken_for_it() {
        let read = |size| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&header(size)).unwrap();
            Pages::new(file).unwrap().get_read(0).map(drop)
        };
        assert!(read(1 << 20).is_ok());
        let error = read(i32::MAX).unwrap_err().to_string();
        assert!(error.contains("a page of 3 bytes is said to hold 2147483647"), "{error}");
    }

    #[test]
    fn bytes_beyond_the_end_of_the_file_are_refused_before_memory_is_taken_for_them() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PAR1").unwrap();
        let pages = Pages::new(file).unwrap();
        assert_eq!(pages.get_bytes(0, 4).unwrap(), "PAR1");
        assert!(pages.get_bytes(1, 4).is_err());
        assert!(pages.get_bytes(u64::MAX, usize::MAX).is_err());
    }

    #[test]
    fn the_sizes_are_read_from_the_header_of_a_page_and_from_nothing_else() {
        assert_eq!(sizes(&[0x15, 0x00, 0x15, 0x80, 0x01, 0x15, 0x06, 0x2c]), Some((64, 3)));
        assert_eq!(sizes(&header(i32::MAX)), Some((i32::MAX as u64, 3)));
        // A footer, a header that is cut off, and one with a number that has no end.
        assert_eq!(sizes(&[0x15, 0x02, 0x19, 0x2c]), None);
        assert_eq!(sizes(&[0x15, 0x00, 0x15, 0x80]), None);
        assert_eq!(sizes(&[0x15, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x15, 0x00, 0x15, 0x00]), None);
    }
}
