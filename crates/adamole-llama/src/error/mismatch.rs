//! What differs between the tensors of a file and those of a model.

use std::fmt;

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

/// What a file whose tensors do not fit seems to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MismatchCause {
    /// Tensors have other shapes, or there are others altogether: it belongs to another model.
    OtherModel,
    /// The model's output projection is absent, and the config says that it is not the embedding.
    NoHead,
    /// Every name begins with this, and nothing says that it can be left out.
    Prefix(String),
    /// Beside the adapter there are whole modules, which were trained or resized with it.
    SavedModules(Vec<String>),
    /// Some tensors are absent or too many.
    Incomplete,
}

/// Lines of each kind that are shown.
const SHOWN: usize = 4;

impl TensorMismatch {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshaped.is_empty()
    }
}

impl fmt::Display for TensorMismatch {
    /// Counts, then the first of each kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misshaped = self.misshaped.iter();
        let misshaped =
            misshaped.map(|(name, found, expected)| format!("{name}: found {found:?}, expected {expected:?}"));
        let kinds = [
            ("misshaped", misshaped.collect::<Vec<_>>()),
            ("missing", self.missing.clone()),
            ("unexpected", self.unexpected.clone()),
        ];
        let kinds = kinds.iter().filter(|(_, names)| !names.is_empty());
        let counts: Vec<String> = kinds.clone().map(|(kind, names)| format!("{} {kind}", names.len())).collect();
        f.write_str(&counts.join(", "))?;
        for (kind, names) in kinds {
            for name in names.iter().take(SHOWN) {
                write!(f, "\n  {kind:10} {name}")?;
            }
            if names.len() > SHOWN {
                write!(f, "\n  {kind:10} ... and {} more", names.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for MismatchCause {
    /// A line of its own, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherModel | Self::Incomplete => Ok(()),
            Self::NoHead => {
                f.write_str("\ntie_word_embeddings is false, but there is no output projection beside the embedding")
            }
            Self::Prefix(prefix) => write!(f, "\nevery name begins with `{prefix}`, expected `model.`"),
            Self::SavedModules(modules) => write!(
                f,
                "\nbeside the adapter it holds {} whole, trained or resized with it; only the adapter can be read",
                modules.join(" and ")
            ),
        }
    }
}
