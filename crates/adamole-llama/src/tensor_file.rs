//! Reading of memory-mapped safetensors files, and atomic writing.

use crate::{
    ModelError,
    convert::{Source, converted},
    regular_file::{self, LFS_POINTER},
};
use burn::tensor::{DType, TensorData};
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

/// The supported types of weights.
const FLOATS: &str = "F32, F16 or BF16";

/// An open safetensors file. Tensors are read from the mapping on request.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    data_start: usize,
}

impl TensorFile {
    /// Maps a file and checks its header against its length.
    ///
    /// # Errors
    /// The file cannot be opened, is truncated, is a Git LFS pointer, or is not a safetensors file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = regular_file::open(path)?;
        // SAFETY: the mapping is read-only. A file that another process truncates meanwhile faults, as with every
        // memory-mapped loader.
        let map = unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))?;
        if map.starts_with(LFS_POINTER) {
            return Err(ModelError::LfsPointer { path: path.to_owned(), size: map.len() });
        }
        let (header, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|source| ModelError::Safetensors { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), map, metadata, data_start: header + 8 })
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors, in sorted order.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.metadata.offset_keys();
        names.sort();
        names
    }

    /// The shape of a tensor; `None` if the file does not have it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// The values of a float tensor (f32, f16 or bf16) as float32. They are not checked.
    ///
    /// # Errors
    /// The file does not have the tensor, or it is of another type.
    pub fn floats(&self, name: &str) -> Result<TensorData, ModelError> {
        let (dtype, shape, bytes) = self.raw(name)?;
        let mut values: Vec<f32> = Vec::new();
        self.source(name, dtype)?.decode(bytes, &mut values);
        Ok(TensorData::new(values, shape))
    }

    /// A weight (f32, f16 or bf16), converted to another float type. The pages that were read are released.
    ///
    /// # Errors
    /// Those of [`TensorFile::floats`], and a value that is not finite in the file or in `target`.
    pub(crate) fn weight(&self, name: &str, target: DType) -> Result<TensorData, ModelError> {
        let (dtype, shape, bytes) = self.raw(name)?;
        let from = self.source(name, dtype)?;
        let release = |piece: &[u8]| self.release(piece);
        converted(bytes, from, target, shape, release).map_err(|bad| bad.in_tensor(&self.path, name))
    }

    /// Whether a tensor and a tensor of another file have the same type, shape and bytes.
    pub(crate) fn is_same(&self, name: &str, (other, other_name): (&Self, &str)) -> bool {
        matches!((self.raw(name), other.raw(other_name)), (Ok(one), Ok(two)) if one == two)
    }

    /// The type of a tensor; `None` if the file does not have it.
    pub(crate) fn dtype(&self, name: &str) -> Option<Dtype> {
        self.metadata.info(name).map(|info| info.dtype)
    }

    /// Tells the operating system to drop pages that have been read. Otherwise they stay in memory beside the converted
    /// copy, and loading takes twice the size of the model.
    fn release(&self, bytes: &[u8]) {
        #[cfg(unix)]
        {
            let start = bytes.as_ptr() as usize - self.map.as_ptr() as usize;
            // SAFETY: the mapping is of a file and read-only, so that dropped pages are read again on access.
            let advised =
                unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, bytes.len()) };
            // Without it, loading takes more memory.
            drop(advised);
        }
    }

    /// Values and shape of an integer tensor (int64, int32, uint8 or bool).
    ///
    /// # Errors
    /// The file does not have the tensor, or it is of another type.
    pub fn integers(&self, name: &str) -> Result<(Vec<i64>, Vec<usize>), ModelError> {
        let (dtype, shape, bytes) = self.raw(name)?;
        let values = match dtype {
            Dtype::I64 => bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
            Dtype::I32 => bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect(),
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

    fn source(&self, name: &str, dtype: Dtype) -> Result<Source, ModelError> {
        Source::of(dtype).ok_or_else(|| self.wrong_type(name, dtype, FLOATS))
    }

    fn wrong_type(&self, name: &str, found: Dtype, expected: &str) -> ModelError {
        ModelError::unsupported(&self.path, "dtype", format!("{found:?} in {name}"), expected)
    }
}

/// Writes float, int64 and uint8 tensors as a safetensors file, atomically as [`write_atomically`] does.
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
                // Other types differ in size, which the view refuses.
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

/// Writes a file atomically: under a temporary name in the same folder, synced to disk, then renamed. `path` always holds
/// the previous content or the new one.
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
