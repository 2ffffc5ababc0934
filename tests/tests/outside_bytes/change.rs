//! Random changes of files.

use proptest::{
    prelude::{Strategy, any},
    sample::{Index, select},
    strategy::{BoxedStrategy, Union},
};

/// One change of a file.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Flips a bit.
    Flip(Index, u8),
    /// Replaces a byte.
    Set(Index, u8),
    /// Truncates the file.
    Cut(Index),
    /// Removes a part.
    Drop(Index, usize),
    /// Repeats a part.
    Repeat(Index, usize),
    /// Inserts a part of another seed.
    Splice(Index, usize, Index, usize),
    /// Replaces a value of a text file.
    Value(Index, &'static str),
    /// Replaces eight bytes by a number.
    Number(Index, u64),
}

/// Unusual values.
const VALUES: [&str; 28] = [
    "0",
    "-1",
    "1.5",
    "-0.0",
    "1e400",
    "1e39",
    "NaN",
    "nan",
    "inf",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "4294967296",
    "4000000000",
    "null",
    "true",
    "\"\"",
    "\"\\u0000\"",
    "\"\u{feff}\"",
    "[]",
    "{}",
    "[[]]",
    "[0,0]",
    "{\"a\":1}",
    "\"../../x\"",
    "\"/dev/null\"",
    "(((((((((((a)*)*)*)*)*)*)*)*)*)*)*",
    ",",
];

/// Unusual sizes.
const NUMBERS: [u64; 6] = [0, 1, 1 << 31, 1 << 32, 1 << 62, u64::MAX];

/// A strategy for any change, with parts of `files` seeds.
pub(crate) fn change(files: usize) -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    let choices: Vec<BoxedStrategy<Change>> = vec![
        (place(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)).boxed(),
        (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)).boxed(),
        place().prop_map(Change::Cut).boxed(),
        (place(), 1..64usize).prop_map(|(at, length)| Change::Drop(at, length)).boxed(),
        (place(), 1..64usize).prop_map(|(at, length)| Change::Repeat(at, length)).boxed(),
        (place(), 0..files, place(), 1..256usize)
            .prop_map(|(at, file, from, length)| Change::Splice(at, file, from, length))
            .boxed(),
        (place(), select(VALUES.to_vec())).prop_map(|(at, text)| Change::Value(at, text)).boxed(),
        (place(), select(NUMBERS.to_vec())).prop_map(|(at, number)| Change::Number(at, number)).boxed(),
    ];
    Union::new(choices)
}

impl Change {
    /// Applies the change. Empty files are unchanged.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        let part = |at: &Index, most: usize| {
            let start = at.index(length);
            start..length.min(start + most)
        };
        match self {
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Self::Set(at, byte) => bytes[at.index(length)] = *byte,
            Self::Cut(at) => bytes.truncate(at.index(length)),
            Self::Drop(at, most) => drop(bytes.drain(part(at, *most))),
            Self::Repeat(at, most) => {
                let part = part(at, *most);
                let repeated = bytes[part.clone()].to_vec();
                drop(bytes.splice(part.start..part.start, repeated));
            }
            Self::Splice(at, file, from, most) => {
                let other = &others[*file];
                let from = from.index(other.len().max(1)).min(other.len());
                let piece = other[from..other.len().min(from + most)].to_vec();
                let at = at.index(length);
                drop(bytes.splice(at..at, piece));
            }
            Self::Value(at, text) => {
                let sign = |byte: &u8| b"\":,[]{}=\n\t ".contains(byte);
                let at = at.index(length);
                let start = bytes[..at].iter().rposition(sign).map_or(0, |sign| sign + 1);
                let end = bytes[at..].iter().position(sign).map_or(length, |sign| at + sign).max(start);
                drop(bytes.splice(start..end, text.bytes()));
            }
            Self::Number(at, number) => {
                let part = part(at, 8);
                let number = number.to_le_bytes();
                let kept = part.len();
                bytes[part].copy_from_slice(&number[..kept]);
            }
        }
    }
}
