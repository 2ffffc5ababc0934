//! The container: metadata, descriptions of tensors and their aligned data, as in `docs/gguf.md` of ggml, version 3.

use crate::ModelError;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// Tensors start at multiples of so many bytes, the default of the format.
const ALIGNMENT: usize = 32;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i32>),
    Floats(Vec<f32>),
}

impl Value {
    /// A size, which the format keeps in 32 bits.
    pub(super) fn size(size: usize) -> Self {
        Self::U32(u32::try_from(size).unwrap_or(u32::MAX))
    }

    /// The number of its type in files.
    fn kind(&self) -> u32 {
        match self {
            Self::U32(_) => 4,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Text(_) => 8,
            Self::Texts(_) | Self::Integers(_) | Self::Floats(_) => 9,
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let list = |out: &mut dyn Write, kind: u32, length: usize| {
            out.write_all(&kind.to_le_bytes())?;
            out.write_all(&(length as u64).to_le_bytes())
        };
        match self {
            Self::U32(value) => out.write_all(&value.to_le_bytes()),
            Self::F32(value) => out.write_all(&value.to_le_bytes()),
            Self::Bool(value) => out.write_all(&[u8::from(*value)]),
            Self::Text(text) => write_text(out, text),
            Self::Texts(texts) => {
                list(out, 8, texts.len())?;
                texts.iter().try_for_each(|text| write_text(out, text))
            }
            Self::Integers(values) => {
                list(out, 5, values.len())?;
                values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
            }
            Self::Floats(values) => {
                list(out, 6, values.len())?;
                values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
            }
        }
    }
}

/// The metadata of a file, in its order.
#[derive(Debug, Default)]
pub(super) struct Metadata(Vec<(String, Value)>);

impl Metadata {
    /// Adds a key.
    pub(super) fn set(&mut self, key: impl Into<String>, value: Value) {
        self.0.push((key.into(), value));
    }

    /// Adds a key with a text.
    pub(super) fn text(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.set(key, Value::Text(text.into()));
    }

    /// Adds a key with a size.
    pub(super) fn size(&mut self, key: impl Into<String>, size: usize) {
        self.set(key, Value::size(size));
    }
}

/// A tensor of a file, whose bytes are made when they are written.
pub(super) trait Tensor {
    /// Its name.
    fn name(&self) -> &str;
    /// Its shape, rows first.
    fn shape(&self) -> &[usize];
    /// The number of its type in ggml.
    fn kind(&self) -> u32;
    /// The number of its bytes.
    fn length(&self) -> usize;
    /// Its bytes.
    ///
    /// # Errors
    /// A value is not finite in its type.
    fn bytes(&self) -> Result<Vec<u8>, ModelError>;
}

/// Writes a file atomically: under a temporary name in the same folder, synced to disk, then renamed. One tensor at a time
/// is in memory as bytes.
///
/// # Errors
/// A value is not finite, or the file cannot be written.
pub(super) fn write(path: &Path, metadata: &Metadata, tensors: &[impl Tensor]) -> Result<(), ModelError> {
    let temporary = path.with_added_extension("partial");
    let written = write_all(&temporary, metadata, tensors)
        .and_then(|()| fs::rename(&temporary, path).map_err(ModelError::io(path)));
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

fn write_all(path: &Path, metadata: &Metadata, tensors: &[impl Tensor]) -> Result<(), ModelError> {
    let mut out = BufWriter::new(File::create(path).map_err(ModelError::io(path))?);
    let length = write_header(&mut out, metadata, tensors).map_err(ModelError::io(path))?;
    pad(&mut out, length).map_err(ModelError::io(path))?;
    for tensor in tensors {
        let bytes = tensor.bytes()?;
        out.write_all(&bytes).and_then(|()| pad(&mut out, bytes.len())).map_err(ModelError::io(path))?;
    }
    let file = out.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all()).map_err(ModelError::io(path))
}

/// Everything before the tensors' data. Returns its length.
fn write_header(out: &mut impl Write, metadata: &Metadata, tensors: &[impl Tensor]) -> io::Result<usize> {
    let mut header = Vec::new();
    header.write_all(MAGIC)?;
    header.write_all(&VERSION.to_le_bytes())?;
    header.write_all(&(tensors.len() as u64).to_le_bytes())?;
    header.write_all(&(metadata.0.len() as u64).to_le_bytes())?;
    for (key, value) in &metadata.0 {
        write_text(&mut header, key)?;
        header.write_all(&value.kind().to_le_bytes())?;
        value.write(&mut header)?;
    }
    let mut offset = 0;
    for tensor in tensors {
        write_text(&mut header, tensor.name())?;
        header.write_all(&(tensor.shape().len() as u32).to_le_bytes())?;
        // The fastest dimension comes first there.
        for size in tensor.shape().iter().rev() {
            header.write_all(&(*size as u64).to_le_bytes())?;
        }
        header.write_all(&tensor.kind().to_le_bytes())?;
        header.write_all(&(offset as u64).to_le_bytes())?;
        offset += tensor.length().next_multiple_of(ALIGNMENT);
    }
    out.write_all(&header)?;
    Ok(header.len())
}

fn write_text(out: &mut (impl Write + ?Sized), text: &str) -> io::Result<()> {
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

/// Zeros after `length` bytes, up to the alignment.
fn pad(out: &mut impl Write, length: usize) -> io::Result<()> {
    out.write_all(&[0; ALIGNMENT][..length.next_multiple_of(ALIGNMENT) - length])
}
