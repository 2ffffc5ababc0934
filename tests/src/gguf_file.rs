//! A reader of GGUF files, to compare them with what was written. It panics where a file is not as it should be.

use half::{bf16, f16};
use std::{collections::BTreeMap, fs, path::Path};

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An unsigned number.
    U32(u32),
    /// A signed number.
    I32(i32),
    /// A number.
    F32(f32),
    /// A flag.
    Bool(bool),
    /// A text.
    Text(String),
    /// Values of one type.
    List(Vec<Value>),
}

/// A tensor: its type in ggml, its shape with rows first, its values.
#[derive(Debug)]
pub struct Tensor {
    /// 0 is f32, 1 f16, 8 q8_0, 30 bf16.
    pub kind: u32,
    /// Rows first.
    pub shape: Vec<usize>,
    /// The values as float32.
    pub values: Vec<f32>,
}

/// A file.
#[derive(Debug)]
pub struct GgufFile {
    /// The metadata in its order.
    pub metadata: Vec<(String, Value)>,
    /// The tensors.
    pub tensors: BTreeMap<String, Tensor>,
}

impl GgufFile {
    /// Reads a whole file.
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut cursor = Cursor { bytes: &bytes, at: 0 };
        assert_eq!(cursor.take(4), b"GGUF");
        assert_eq!(cursor.u32(), 3);
        let (tensors, keys) = (cursor.u64(), cursor.u64());
        let metadata = (0..keys)
            .map(|_| {
                let (key, kind) = (cursor.text(), cursor.u32());
                (key, cursor.value(kind))
            })
            .collect();
        let described: Vec<_> = (0..tensors)
            .map(|_| {
                let name = cursor.text();
                let mut shape: Vec<usize> = (0..cursor.u32()).map(|_| cursor.u64()).collect();
                shape.reverse();
                (name, shape, cursor.u32(), cursor.u64())
            })
            .collect();
        let start = cursor.at.next_multiple_of(32);
        let read = described.into_iter().map(|(name, shape, kind, offset)| {
            assert!(offset.is_multiple_of(32), "{name} is not aligned");
            let mut data = Cursor { bytes: &bytes, at: start + offset };
            let values = data.floats(kind, shape.iter().product());
            (name, Tensor { kind, shape, values })
        });
        Self { metadata, tensors: read.collect() }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        self.at += length;
        &self.bytes[self.at - length..self.at]
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap_or([0; N])
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> usize {
        u64::from_le_bytes(self.array()) as usize
    }

    fn text(&mut self) -> String {
        let length = self.u64();
        String::from_utf8_lossy(self.take(length)).into_owned()
    }

    fn value(&mut self, kind: u32) -> Value {
        match kind {
            4 => Value::U32(self.u32()),
            5 => Value::I32(i32::from_le_bytes(self.array())),
            6 => Value::F32(f32::from_le_bytes(self.array())),
            7 => Value::Bool(self.take(1) == [1]),
            8 => Value::Text(self.text()),
            9 => {
                let (kind, length) = (self.u32(), self.u64());
                Value::List((0..length).map(|_| self.value(kind)).collect())
            }
            other => panic!("the type {other} is none that is written here"),
        }
    }

    fn floats(&mut self, kind: u32, count: usize) -> Vec<f32> {
        match kind {
            0 => (0..count).map(|_| f32::from_le_bytes(self.array())).collect(),
            1 => (0..count).map(|_| f16::from_le_bytes(self.array()).to_f32()).collect(),
            30 => (0..count).map(|_| bf16::from_le_bytes(self.array()).to_f32()).collect(),
            8 => (0..count / 32)
                .flat_map(|_| {
                    let scale = f16::from_le_bytes(self.array()).to_f32();
                    let block: [u8; 32] = self.array();
                    block.map(|byte| f32::from(i8::from_le_bytes([byte])) * scale)
                })
                .collect(),
            other => panic!("the type {other} is none that is written here"),
        }
    }
}
