//! Reading of `torch.save` files.

use crate::{
    ModelError,
    convert::{Source, converted},
    regular_file,
};
use burn::tensor::{DType as Target, TensorData};
use pytorch_reader::{DType, PytorchReader};
use std::path::{Path, PathBuf};

/// An open checkpoint. The reader supports tensors and plain values only, and executes no code.
pub(crate) struct PickleFile {
    path: PathBuf,
    reader: PytorchReader,
}

impl PickleFile {
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        regular_file::check(path)?;
        let reader = PytorchReader::new(path)
            .map_err(|source| ModelError::Pickle { path: path.to_owned(), source: Box::new(source) })?;
        Ok(Self { path: path.to_owned(), reader })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.reader.keys()
    }

    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.reader.get(name).map(|tensor| tensor.shape())
    }

    /// A weight as float32.
    ///
    /// # Errors
    /// The file does not have the tensor, its type is not supported, or a value is not finite.
    pub(crate) fn weight(&self, name: &str) -> Result<TensorData, ModelError> {
        let unsupported =
            |value: String| ModelError::unsupported(&self.path, "dtype", value, "float32, float16 or bfloat16");
        let tensor = self.reader.get(name).ok_or_else(|| unsupported(format!("absent in {name}")))?;
        let from = match tensor.dtype() {
            DType::F32 => Source::F32,
            DType::F16 => Source::F16,
            DType::BF16 => Source::BF16,
            other => return Err(unsupported(format!("{other:?} in {name}"))),
        };
        let bytes = tensor.read().map_err(ModelError::io(&self.path))?;
        converted(&bytes, from, Target::F32, tensor.shape().to_vec(), |_| ())
            .map_err(|bad| bad.in_tensor(&self.path, name))
    }
}
