//! Files of `torch.save`, read only.

use crate::{ModelError, tensor_file::to_float32};
use burn::tensor::TensorData;
use pytorch_reader::{DType, PytorchReader};
use safetensors::Dtype;
use std::path::{Path, PathBuf};

/// An open checkpoint. No code in it is run: the reader knows tensors and plain values only.
pub(crate) struct PickleFile {
    path: PathBuf,
    reader: PytorchReader,
}

impl PickleFile {
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
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

    pub(crate) fn floats(&self, name: &str) -> Result<TensorData, ModelError> {
        let unsupported = |value: String| ModelError::Unsupported {
            path: self.path.clone(),
            field: "dtype",
            value,
            expected: "float32, float16 or bfloat16".into(),
        };
        let tensor = self.reader.get(name).ok_or_else(|| unsupported(format!("absent in {name}")))?;
        let dtype = match tensor.dtype() {
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            other => return Err(unsupported(format!("{other:?} in {name}"))),
        };
        let bytes = tensor.read().map_err(ModelError::io(&self.path))?;
        to_float32(dtype, tensor.shape().to_vec(), &bytes).ok_or_else(|| unsupported(format!("{dtype:?}")))
    }
}
