//! Errors of loading and saving: each names the file and the thing, and says what was expected.

use crate::quantization::BLOCK;
use std::{fmt, path::PathBuf};

/// What can go wrong between a folder and a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A JSON file does not parse or lacks a field.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        source: serde_json::Error,
    },
    /// A model folder holds no weights.
    #[error("{}: no model.safetensors and no model.safetensors.index.json", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// A safetensors file is truncated or is something else.
    #[error("{}: not a whole safetensors file: {source}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: safetensors::SafeTensorError,
    },
    /// A file of `torch.save` is damaged, or is something else.
    #[error("{}: not a PyTorch file: {source}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: Box<pytorch_reader::PytorchError>,
    },
    /// A routed mixture cannot be folded into one matrix.
    #[error("{linear} has a routed mixture, expected a plain LoRA: what a mixture adds depends on the token")]
    NotMergeable {
        /// The first such linear.
        linear: String,
    },
    /// The device cannot compute with weights of this type.
    #[error("the device cannot compute with {types} weights")]
    UnsupportedType {
        /// The type that was asked for.
        types: String,
    },
    /// A parameter is not of the type that was asked for.
    #[error("{name} is {found}, expected {expected}")]
    WrongType {
        /// The parameter.
        name: String,
        /// Its type.
        found: String,
        /// The type that it should have.
        expected: String,
    },
    /// A linear's rows do not divide into blocks of one scale each.
    #[error("{linear} has rows of {width}, expected a multiple of {}: the weights of a block share a scale", BLOCK)]
    NotQuantizable {
        /// The linear.
        linear: String,
        /// Length of its rows.
        width: usize,
    },
    /// Weights that were quantised when they were loaded cannot be written or folded into.
    #[error("{linear} is quantised, expected floats")]
    Quantized {
        /// The first such linear.
        linear: String,
    },
    /// A config describes a model or an adapter that is not implemented, or contradicts itself.
    #[error("{}: {field} is {value}, expected {expected}", path.display())]
    Unsupported {
        /// The config file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is supported.
        expected: String,
    },
    /// The tensors of a file are not those that the model has.
    #[error("{}: tensors do not fit the {what}:\n{mismatch}", path.display())]
    Mismatch {
        /// The file or folder.
        path: PathBuf,
        /// "model" or "adapter".
        what: &'static str,
        /// All that differs.
        mismatch: TensorMismatch,
    },
}

impl ModelError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }

    pub(crate) fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.into();
        |source| Self::Json { path, source }
    }
}

/// Every difference between the tensors expected and those found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TensorMismatch {
    /// Expected and absent.
    pub missing: Vec<String>,
    /// Present and unknown.
    pub unexpected: Vec<String>,
    /// Name, shape found, shape expected.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl TensorMismatch {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshaped.is_empty()
    }
}

impl fmt::Display for TensorMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        lines.extend(self.missing.iter().map(|name| format!("  missing    {name}")));
        lines.extend(self.unexpected.iter().map(|name| format!("  unexpected {name}")));
        lines.extend(
            self.misshaped
                .iter()
                .map(|(name, found, expected)| format!("  misshaped  {name}: found {found:?}, expected {expected:?}")),
        );
        f.write_str(&lines.join("\n"))
    }
}
