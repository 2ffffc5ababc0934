//! Errors of loading and saving: each names the file and the thing, says what was expected, and carries its cause.

mod mismatch;
mod refusal;

pub use mismatch::{MismatchCause, TensorMismatch};
pub use refusal::AdapterRefusal;

use crate::quantization::BLOCK;
use std::path::{Path, PathBuf};

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
    /// A name stands for something that has no end or no content, such as a named pipe.
    #[error("{}: {found}, expected a file", path.display())]
    NotAFile {
        /// What was to be read.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A link leads nowhere: what it stands for was not copied along with it.
    #[error("{}: a link to {}, which does not exist", path.display(), target.display())]
    DeadLink {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Git LFS has left a note in the place of a large file.
    #[error("{}: a Git LFS pointer of {size} bytes, expected the file that it stands for", path.display())]
    LfsPointer {
        /// The note.
        path: PathBuf,
        /// Its size.
        size: usize,
    },
    /// A JSON file does not parse or lacks a field.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        source: serde_json::Error,
    },
    /// A model folder holds no weights that can be read.
    #[error(
        "{}: no model.safetensors and no model.safetensors.index.json{}",
        folder.display(),
        listed(", only ", others)
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// Weights of other kinds in it.
        others: Vec<String>,
    },
    /// An adapter folder holds no tensors that can be read.
    #[error(
        "{}: no adapter_model.safetensors and no adapter_model.bin{}",
        folder.display(),
        listed(", only ", others)
    )]
    NoAdapterWeights {
        /// The folder.
        folder: PathBuf,
        /// Weights of other kinds in it.
        others: Vec<String>,
    },
    /// A folder holds no adapter itself, but its subfolders do, as PEFT writes adapters that have names.
    #[error("{}: no adapter_config.json, only in its subfolder {}", folder.display(), names.join(" and "))]
    NamedAdapters {
        /// The folder.
        folder: PathBuf,
        /// The subfolders with an adapter.
        names: Vec<String>,
    },
    /// A folder holds an adapter of MLX, whose files are other ones.
    #[error("{}: an adapter of MLX, expected one of PEFT", path.display())]
    MlxAdapter {
        /// Its config.
        path: PathBuf,
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
    /// A weight is infinite or not a number, so that whatever is computed with it is, too.
    #[error("{}: {tensor} holds {value} at element {element}, expected numbers that are finite in {precision}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        tensor: String,
        /// The value in the file; a finite one is beyond the range of the type.
        value: f32,
        /// The type that it was to be kept in.
        precision: &'static str,
        /// Its first place, in row-major order.
        element: usize,
    },
    /// Activations overflowed on the way through the model, although its weights are finite.
    #[error("the scores of the token after position {position} are not finite")]
    ScoresNotFinite {
        /// Tokens before it.
        position: usize,
    },
    /// A token is outside the vocabulary, so that the embedding has no row for it.
    #[error("the tokenizer gives token {id}, but the model's vocabulary has {rows}: they are not of one model")]
    TokenOutsideVocabulary {
        /// The token.
        id: u32,
        /// Rows of the embedding.
        rows: usize,
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
    /// A model folder holds weights that another program has quantised.
    #[error("{}: a base quantised by {method}, expected weights as floats", path.display())]
    QuantizedBase {
        /// The file that says so.
        path: PathBuf,
        /// The program or the format.
        method: String,
    },
    /// A config describes a model or an adapter that is not implemented, or contradicts itself.
    #[error("{}: {field} is {value}, expected {expected}", path.display())]
    Unsupported {
        /// The config file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What is supported.
        expected: String,
    },
    /// An adapter's config asks for a computation that is not implemented.
    #[error("{}: {field} is {value}, expected {refusal}", path.display())]
    AdapterField {
        /// The config file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What the field would change.
        refusal: AdapterRefusal,
    },
    /// Two keys of a file stand for the same tensor.
    #[error("{}: {first} and {second} are names of one tensor, expected one of them", path.display())]
    AmbiguousKeys {
        /// The file.
        path: PathBuf,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// The tensors of a file are not those that the model has.
    #[error("{}: tensors do not fit the {what}: {mismatch}{cause}", path.display())]
    Mismatch {
        /// The file or folder.
        path: PathBuf,
        /// "model" or "adapter".
        what: &'static str,
        /// All that differs.
        mismatch: TensorMismatch,
        /// What the file seems to be.
        cause: MismatchCause,
    },
}

impl ModelError {
    /// Whether numbers that are not finite are the cause.
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

/// The names after `before`, or nothing.
fn listed(before: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{before}{}", names.join(", ")) }
}
