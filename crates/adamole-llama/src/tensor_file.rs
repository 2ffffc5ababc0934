//! Memory-mapped safetensors files, read; and written through a temporary name.

use crate::ModelError;
use burn::tensor::{DType, TensorData};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, TensorView},
};
use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// An open safetensors file. Tensors are read from the mapping when asked for.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    data_start: usize,
}

impl TensorFile {
    /// Maps the file and checks its header against its length.
    ///
    /// # Errors
    /// The file cannot be opened, is truncated, or is not safetensors.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        // SAFETY: the mapping is read-only; a file that another process shortens meanwhile would fault, which every
        // memory-mapped loader accepts.
        let map = unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))?;
        let (header, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|source| ModelError::Safetensors { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), map, metadata, data_start: header + 8 })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.metadata.offset_keys();
        names.sort();
        names
    }

    /// The shape of a tensor; `None` where there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// A float tensor (f32, f16 or bf16) as float32.
    ///
    /// # Errors
    /// There is no such tensor, or it is of another type.
    pub fn floats(&self, name: &str) -> Result<TensorData, ModelError> {
        self.floats_as(name, DType::F32)
    }

    /// A float tensor (f32, f16 or bf16) as another float type. What was read of the file leaves the memory again.
    pub(crate) fn floats_as(&self, name: &str, target: DType) -> Result<TensorData, ModelError> {
        let (dtype, shape, bytes) = self.raw(name)?;
        let width = width(dtype).ok_or_else(|| self.wrong_type(name, dtype, "F32, F16 or BF16"))?;
        let (elements, release) = (bytes.len() / width, |piece: &[u8]| self.release(piece));
        Ok(match target {
            DType::BF16 => TensorData::new(converted(bytes, elements, dtype, bf16::from_f32, release), shape),
            DType::F16 => TensorData::new(converted(bytes, elements, dtype, f16::from_f32, release), shape),
            _ => TensorData::new(converted(bytes, elements, dtype, |value| value, release), shape),
        })
    }

    /// Tells the system that these pages have been read: otherwise they stay beside the copy that was made of them, and
    /// loading takes twice the model's size.
    fn release(&self, bytes: &[u8]) {
        #[cfg(unix)]
        {
            let start = bytes.as_ptr() as usize - self.map.as_ptr() as usize;
            // SAFETY: the mapping is of a file and read-only, so that pages dropped are read again when asked for.
            let advised =
                unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, bytes.len()) };
            // Advice only: without it loading takes more memory.
            drop(advised);
        }
    }

    /// An int64, int32 or uint8 tensor as int64 values with its shape.
    ///
    /// # Errors
    /// There is no such tensor, or it is of another type.
    pub fn integers(&self, name: &str) -> Result<(Vec<i64>, Vec<usize>), ModelError> {
        let (dtype, shape, bytes) = self.raw(name)?;
        let values = match dtype {
            Dtype::I64 => bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default())).collect(),
            Dtype::I32 => {
                bytes.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap_or_default()).into()).collect()
            }
            Dtype::U8 | Dtype::BOOL => bytes.iter().map(|&b| i64::from(b)).collect(),
            other => return Err(self.wrong_type(name, other, "I64, I32 or U8")),
        };
        Ok((values, shape))
    }

    fn raw(&self, name: &str) -> Result<(Dtype, Vec<usize>, &[u8]), ModelError> {
        let info = self.metadata.info(name).ok_or_else(|| ModelError::Safetensors {
            path: self.path.clone(),
            source: safetensors::SafeTensorError::TensorNotFound(name.to_owned()),
        })?;
        let (start, end) = info.data_offsets;
        Ok((info.dtype, info.shape.clone(), &self.map[self.data_start + start..self.data_start + end]))
    }

    fn wrong_type(&self, name: &str, found: Dtype, expected: &str) -> ModelError {
        ModelError::Unsupported {
            path: self.path.clone(),
            field: "dtype",
            value: format!("{found:?} in {name}"),
            expected: expected.to_owned(),
        }
    }
}

/// Bytes of a file that are converted at a time; a multiple of every width.
const PIECE: usize = 1 << 22;

/// Floats of any width as float32; `None` for other types.
pub(crate) fn to_float32(dtype: Dtype, shape: Vec<usize>, bytes: &[u8]) -> Option<TensorData> {
    let elements = bytes.len() / width(dtype)?;
    Some(TensorData::new(converted(bytes, elements, dtype, |value| value, |_| ()), shape))
}

/// Bytes of a float type that can be read; `None` for other types.
fn width(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::F32 => Some(4),
        Dtype::F16 | Dtype::BF16 => Some(2),
        _ => None,
    }
}

/// Floats of a type that has a [`width`] as another type of float, piece by piece; `done` is told of each.
fn converted<T>(bytes: &[u8], elements: usize, from: Dtype, to: impl Fn(f32) -> T, done: impl Fn(&[u8])) -> Vec<T> {
    let mut values = Vec::with_capacity(elements);
    for piece in bytes.chunks(PIECE) {
        let (quads, pairs) = (piece.as_chunks::<4>().0, piece.as_chunks::<2>().0);
        match from {
            Dtype::F32 => values.extend(quads.iter().map(|bytes| to(f32::from_le_bytes(*bytes)))),
            Dtype::F16 => values.extend(pairs.iter().map(|bytes| to(f16::from_le_bytes(*bytes).to_f32()))),
            _ => values.extend(pairs.iter().map(|bytes| to(bf16::from_le_bytes(*bytes).to_f32()))),
        }
        done(piece);
    }
    values
}

/// Writes float, int64 and uint8 tensors as safetensors: complete under a temporary name first, then renamed, so that no
/// reader ever sees half a file.
///
/// # Errors
/// The file cannot be written.
pub fn write_tensors(path: &Path, tensors: &[(String, TensorData)]) -> Result<(), ModelError> {
    let failed = |source| ModelError::Safetensors { path: path.to_owned(), source };
    let views = tensors
        .iter()
        .map(|(name, data)| {
            let shape = data.shape().iter().copied().collect();
            let dtype = match data.dtype() {
                DType::U8 => Dtype::U8,
                DType::I64 => Dtype::I64,
                DType::BF16 => Dtype::BF16,
                DType::F16 => Dtype::F16,
                // Another type has another size, which the view refuses.
                _ => Dtype::F32,
            };
            Ok((name.as_str(), TensorView::new(dtype, shape, data.as_bytes())?))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(failed)?;
    write_atomically(path, &bytes)
}

/// Writes a whole file: under a temporary name in the same folder, onto the disk, then renamed. Whatever happens
/// meanwhile, `path` is what it was or what it is to be.
///
/// # Errors
/// The file cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let temporary = path.with_added_extension("partial");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&temporary))).map_err(ModelError::io(path))
}
