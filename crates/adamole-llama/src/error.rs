//! Errors and warnings of loading, saving and generating. Each names the file and the tensor or field.

mod causes;

pub use causes::{AdapterRefusal, MismatchCause, TensorMismatch};

use crate::quantization::BLOCK;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// An error about a model or an adapter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A path is not a regular file: a folder, a named pipe, a socket or a device.
    #[error("{}: {found}, expected a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A symbolic link is broken: its target was not copied with it.
    #[error("{}: a link to {}, which does not exist", path.display(), target.display())]
    DeadLink {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// A file is a Git LFS pointer instead of the large file.
    #[error("{}: a Git LFS pointer of {size} bytes, expected the file itself", path.display())]
    LfsPointer {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: usize,
    },
    /// A JSON file is invalid or lacks a field.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        source: serde_json::Error,
    },
    /// A model folder has no readable weights.
    #[error(
        "{}: no model.safetensors and no model.safetensors.index.json{}",
        folder.display(),
        listed(", only ", others)
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// Weight files of other formats in it.
        others: Vec<String>,
    },
    /// An adapter folder has no readable weights.
    #[error(
        "{}: no adapter_model.safetensors and no adapter_model.bin{}",
        folder.display(),
        listed(", only ", others)
    )]
    NoAdapterWeights {
        /// The folder.
        folder: PathBuf,
        /// Weight files of other formats in it.
        others: Vec<String>,
    },
    /// The adapters are in subfolders, where PEFT writes named adapters.
    #[error("{}: no adapter_config.json, only in its subfolder {}", folder.display(), names.join(" and "))]
    NamedAdapters {
        /// The folder.
        folder: PathBuf,
        /// The subfolders that hold an adapter.
        names: Vec<String>,
    },
    /// An adapter's method is of another crate, and no folder with it could be loaded.
    #[error(
        "the method {method} is not registered, so that its adapters could not be loaded; MethodKind::register does so"
    )]
    NotRegistered {
        /// The method.
        method: &'static str,
    },
    /// An adapter is in the format of MLX.
    #[error("{}: an adapter of MLX, expected one of PEFT", path.display())]
    MlxAdapter {
        /// Its config file.
        path: PathBuf,
    },
    /// A safetensors file is truncated or invalid.
    #[error("{}: not a complete safetensors file: {source}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The error of the reader.
        source: safetensors::SafeTensorError,
    },
    /// A file of `torch.save` is damaged or invalid.
    #[error("{}: not a PyTorch file: {source}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// The error of the reader.
        source: Box<pytorch_reader::PytorchError>,
    },
    /// A weight is infinite or NaN, or overflows the type that it is converted to.
    #[error("{}: {tensor} holds {value} at element {element}, expected numbers that are finite in {precision}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        tensor: String,
        /// The value in the file. A finite one is outside the range of the type.
        value: f32,
        /// The type that it is converted to.
        precision: &'static str,
        /// The index of the first such element, in row-major order.
        element: usize,
    },
    /// Activations overflow, although the weights are finite.
    #[error("the scores of the token after position {position} are not finite")]
    ScoresNotFinite {
        /// The number of tokens before it.
        position: usize,
    },
    /// A token is outside the vocabulary: the embedding has no row for it.
    #[error("the tokenizer gives token {id}, but the model's vocabulary has {rows}: they are not of one model")]
    TokenOutsideVocabulary {
        /// The token.
        id: u32,
        /// The rows of the embedding.
        rows: usize,
    },
    /// A routed mixture of experts cannot be merged into one matrix.
    #[error("{linear} has a mixture of experts, expected a plain LoRA: the update of a mixture depends on the token")]
    NotMergeable {
        /// The first such linear.
        linear: String,
    },
    /// A GGUF file, as llama.cpp reads it, has no place for a property of a model or of a tokenizer.
    #[error("{}: {field} is {value}, expected {expected}: llama.cpp would compute something else", path.display())]
    NotInGguf {
        /// The file that says so, or the one to write.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What a GGUF file can say.
        expected: String,
    },
    /// The device cannot compute with weights of this type.
    #[error("the device cannot compute with {types} weights")]
    UnsupportedType {
        /// The requested type.
        types: String,
    },
    /// A parameter has another type than the one requested or needed.
    #[error("{name} is {found}, expected {expected}")]
    WrongType {
        /// The parameter.
        name: String,
        /// Its type.
        found: String,
        /// The right type.
        expected: String,
    },
    /// The rows of a linear do not divide into quantisation blocks.
    #[error("{linear} has rows of {width} weights, expected a multiple of {}, the block that shares a scale", BLOCK)]
    NotQuantizable {
        /// The linear.
        linear: String,
        /// The length of its rows.
        width: usize,
    },
    /// An adapter cannot be merged into a quantised linear.
    #[error("{linear} is quantised, expected floats")]
    Quantized {
        /// The first such linear.
        linear: String,
    },
    /// The weights of a model were quantised by another program.
    #[error("{}: a base quantised by {method}, expected weights as floats", path.display())]
    QuantizedBase {
        /// The config file or the folder.
        path: PathBuf,
        /// The program or the format.
        method: String,
    },
    /// A field has a value that is not supported or contradicts another field.
    #[error("{}: {field} is {value}, expected {expected}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// The supported values.
        expected: String,
    },
    /// A field of `adapter_config.json` requires a computation that is not implemented.
    #[error("{}: {field} is {value}, expected {refusal}", path.display())]
    AdapterField {
        /// The config file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// The reason.
        refusal: AdapterRefusal,
    },
    /// A file has different values for a parameter that several linears share.
    #[error("{}: {first} and {second} differ, expected one parameter in both", path.display())]
    UnequalCopies {
        /// The file.
        path: PathBuf,
        /// One key.
        first: String,
        /// The other key.
        second: String,
    },
    /// Two keys of a file name the same tensor.
    #[error("{}: {first} and {second} name the same tensor, expected one of them", path.display())]
    AmbiguousKeys {
        /// The file.
        path: PathBuf,
        /// One key.
        first: String,
        /// The other key.
        second: String,
    },
    /// The tensors of a file are not those of the model or the adapter.
    #[error("{}: tensors do not fit the {what}: {mismatch}{cause}", path.display())]
    Mismatch {
        /// The file or folder.
        path: PathBuf,
        /// "model" or "adapter".
        what: &'static str,
        /// All differences.
        mismatch: TensorMismatch,
        /// The probable cause.
        cause: MismatchCause,
    },
}

impl ModelError {
    /// Whether the cause is a value that is not finite.
    pub fn is_not_finite(&self) -> bool {
        matches!(self, Self::NotFinite { .. } | Self::ScoresNotFinite { .. })
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }

    pub(crate) fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.into();
        |source| Self::Json { path, source }
    }

    pub(crate) fn not_in_gguf(
        path: &Path,
        field: impl Into<String>,
        value: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::NotInGguf {
            path: path.to_owned(),
            field: field.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    pub(crate) fn unsupported(
        path: &Path,
        field: impl Into<String>,
        value: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            field: field.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }
}

/// `before` and the names, or nothing where there are none.
fn listed(before: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{before}{}", names.join(", ")) }
}

/// A warning about a file of a model or an adapter: it was read, but perhaps not as its author intended. Libraries print
/// nothing; show [`CausalLm::warnings`](crate::CausalLm::warnings) to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelWarning {
    /// The file.
    pub path: PathBuf,
    /// What the file says, and how it is read.
    pub what: String,
}

impl fmt::Display for ModelWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}
