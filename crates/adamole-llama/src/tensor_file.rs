//! Memory-mapped safetensors files, read; and written through a temporary name.

use crate::convert::{Source, converted};
use crate::{ModelError, placeholder::LFS_POINTER, regular_file};
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

/// The types that weights are read from.
const FLOATS: &str = "F32, F16 or BF16";

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
    /// The file cannot be opened, is truncated, is a pointer of Git LFS, or is not safetensors.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = regular_file::open(path)?;
        // SAFETY: the mapping is read-only; a file that another process shortens meanwhile would fault, which every
        // memory-mapped loader accepts.
        let map = unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))?;
        if map.starts_with(LFS_POINTER) {
            return Err(ModelError::LfsPointer { path: path.to_owned(), size: map.len() });
        }
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

    /// A float tensor (f32, f16 or bf16) as float32, whatever its values.
    ///
    /// # Errors
    /// There is no such tensor, or it is of another type.
    pub fn floats(&self, name: &str) -> Result<TensorData, ModelError> {
        let (dtype, shape, bytes) = self.raw(name)?;
        let values: Vec<f32> = match dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Dtype::BF16 => bytes.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            other => return Err(self.wrong_type(name, other, FLOATS)),
        };
        Ok(TensorData::new(values, shape))
    }

    /// A weight (f32, f16 or bf16) as another float type. What was read of the file leaves the memory again.
    ///
    /// # Errors
    /// Those of [`TensorFile::floats`], and a value that is not finite, be it that it is beyond the range of `target`.
    pub(crate) fn weight(&self, name: &str, target: DType) -> Result<TensorData, ModelError> {
        let (dtype, shape, bytes) = self.raw(name)?;
        let from = Source::of(dtype).ok_or_else(|| self.wrong_type(name, dtype, FLOATS))?;
        let release = |piece: &[u8]| self.release(piece);
        converted(bytes, from, target, shape, release).map_err(|bad| bad.in_tensor(&self.path, name))
    }

    /// Whether a tensor here and another one have the same type, shape and bytes.
    pub(crate) fn is_same(&self, name: &str, (other, other_name): (&Self, &str)) -> bool {
        matches!((self.raw(name), other.raw(other_name)), (Ok(one), Ok(two)) if one == two)
    }

    /// The type of a tensor, as safetensors names it; `None` where there is no such tensor.
    pub(crate) fn dtype(&self, name: &str) -> Option<Dtype> {
        self.metadata.info(name).map(|info| info.dtype)
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
        ModelError::unsupported(&self.path, "dtype", format!("{found:?} in {name}"), expected)
    }
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
