//! A Parquet file that takes no more memory for a page than there can be in it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// A page may have this size, whatever it was before it was compressed: writers aim at 1 MiB.
const ALWAYS: u64 = 64 << 20;

/// Beyond that, so many bytes for each compressed one. Deflate cannot reach this, and Zstandard only on repetitions,
/// which Parquet's dictionaries take out first.
const RATIO: u64 = 1024;

/// A file whose page headers are looked at before the library allocates what they ask for.
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

/// The sizes of a page, plain and compressed, from its header: in Thrift's compact protocol the second and the third of
/// three 32-bit integers. `None` for anything else, such as the end of the file.
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
    use super::sizes;

    #[test]
    fn the_sizes_are_read_from_the_header_of_a_page_and_from_nothing_else() {
        assert_eq!(sizes(&[0x15, 0x00, 0x15, 0x80, 0x01, 0x15, 0x06, 0x2c]), Some((64, 3)));
        assert_eq!(sizes(&[0x15, 0x04, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0x02]), Some((i32::MAX as u64, 1)));
        // A footer, a header that is cut off, and one with a number that has no end.
        assert_eq!(sizes(&[0x15, 0x02, 0x19, 0x2c]), None);
        assert_eq!(sizes(&[0x15, 0x00, 0x15, 0x80]), None);
        assert_eq!(sizes(&[0x15, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x15, 0x00, 0x15, 0x00]), None);
    }
}
