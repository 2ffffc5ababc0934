//! The footer of a Parquet file, checked before the library allocates memory for the sizes in it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::errors::ParquetError;

/// The schema's field of a footer, and the number of children of a schema's element.
const SCHEMA: i64 = 2;
const CHILDREN: i64 = 5;
/// Structures of a footer lie in one another a few deep.
const DEPTH: u32 = 32;

/// Refuses a footer with a list or a group of more members than fit into it. A malformed footer is left to the library, which
/// reports it.
pub(super) fn check(file: &mut File) -> Result<(), ParquetError> {
    match read(file) {
        Some(footer) => Compact { rest: &footer, members: footer.len() as u64 }.structure(0, true).unwrap_or(Ok(())),
        None => Ok(()),
    }
}

fn read(file: &mut File) -> Option<Vec<u8>> {
    let length = file.metadata().ok()?.len();
    let mut tail = [0; 8];
    file.seek(SeekFrom::Start(length.checked_sub(8)?)).ok()?;
    file.read_exact(&mut tail).ok()?;
    let size = u64::from(u32::from_le_bytes(*tail.first_chunk()?));
    file.seek(SeekFrom::Start(length.checked_sub(8 + size)?)).ok()?;
    let mut footer = Vec::new();
    file.take(size).read_to_end(&mut footer).ok()?;
    file.rewind().ok()?;
    (tail[4..] == *b"PAR1").then_some(footer)
}

/// A reader of Thrift's compact protocol. `None` of what is malformed; an error of a size that is too large.
struct Compact<'a> {
    rest: &'a [u8],
    /// The bytes of the footer, which bound the members of a list or group.
    members: u64,
}

type Checked = Option<Result<(), ParquetError>>;

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, count: u64) -> Checked {
        self.rest = self.rest.get(usize::try_from(count).ok()?..)?;
        Some(Ok(()))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn fits(&self, what: &str, count: u64) -> Result<(), ParquetError> {
        match count > self.members {
            true => Err(ParquetError::General(format!("{what} of {count} in a footer of {} bytes", self.members))),
            false => Ok(()),
        }
    }

    /// The fields of a structure up to its end. `is_footer` is set for the outermost structure.
    fn structure(&mut self, depth: u32, is_footer: bool) -> Checked {
        self.fields(depth, |own, field, kind| match (is_footer, field, kind) {
            (true, SCHEMA, 9) => own.list(depth + 1, true),
            _ => own.value(kind, depth + 1),
        })
    }

    fn fields(&mut self, depth: u32, mut read: impl FnMut(&mut Self, i64, u8) -> Checked) -> Checked {
        if depth >= DEPTH {
            return None;
        }
        let mut field = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(Ok(()));
            }
            field = match head >> 4 {
                0 => self.signed()?,
                more => field.checked_add(i64::from(more))?,
            };
            if let Err(error) = read(self, field, head & 0x0f)? {
                return Some(Err(error));
            }
        }
    }

    fn value(&mut self, kind: u8, depth: u32) -> Checked {
        match kind {
            // The head of the field holds a truth value.
            1 | 2 => Some(Ok(())),
            3 => self.skip(1),
            4..=6 => self.number().map(|_| Ok(())),
            7 => self.skip(8),
            8 => {
                let length = self.number()?;
                self.skip(length)
            }
            9 | 10 => self.list(depth, false),
            12 => self.structure(depth, false),
            // A footer has no maps.
            _ => None,
        }
    }

    fn list(&mut self, depth: u32, is_schema: bool) -> Checked {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.number()?,
            few => u64::from(few),
        };
        if let Err(error) = self.fits("a list", count) {
            return Some(Err(error));
        }
        for _ in 0..count {
            let checked = match head & 0x0f {
                12 if is_schema => self.fields(depth + 1, |own, field, kind| match (field, kind) {
                    (CHILDREN, 5) => {
                        let children = own.signed()?;
                        Some(own.fits("a group", u64::try_from(children).unwrap_or(0)))
                    }
                    _ => own.value(kind, depth + 2),
                }),
                1 | 2 => self.skip(1),
                kind => self.value(kind, depth + 1),
            };
            if let Err(error) = checked? {
                return Some(Err(error));
            }
        }
        Some(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The result for a file that ends with this footer.
    fn checked(footer: &[u8]) -> Result<(), String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PAR1").unwrap();
        file.write_all(footer).unwrap();
        file.write_all(&(footer.len() as u32).to_le_bytes()).unwrap();
        file.write_all(b"PAR1").unwrap();
        check(&mut file).map_err(|error| error.to_string())
    }

    #[test]
    fn a_group_of_more_children_than_there_can_be_is_refused_before_memory_is_taken_for_them() {
        // Version 1; a schema of one element, a group by the name of `s` with so many children.
        let footer = |children: &[u8]| [&[0x15, 2, 0x19, 0x1c, 0x48, 1, b's', 0x15], children, &[0, 0]].concat();
        assert_eq!(checked(&footer(&[2])), Ok(()));
        let error = checked(&footer(&[0xfe, 0xff, 0xff, 0xff, 0x0f])).unwrap_err();
        assert_eq!(error, "Parquet error: a group of 2147483647 in a footer of 15 bytes");
    }

    #[test]
    fn a_list_of_more_than_there_can_be_is_refused() {
        let error = checked(&[0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0x07, 0]).unwrap_err();
        assert_eq!(error, "Parquet error: a list of 16777215 in a footer of 9 bytes");
    }

    #[test]
    fn a_malformed_footer_is_left_to_the_library() {
        for footer in [&[][..], &[0x15], &[0xff; 40], &[0x1c; 200], &[0x18, 200, 1]] {
            assert_eq!(checked(footer), Ok(()), "{footer:?}");
        }
        let mut short = tempfile::tempfile().unwrap();
        short.write_all(b"PAR1").unwrap();
        assert!(check(&mut short).is_ok());
    }
}
