//! Details of errors: which tensors differ, and why a file or a field is refused.

use adamole_core::MethodKind;
use std::fmt;

/// The differences between the tensors of a model or an adapter and those of a file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TensorMismatch {
    /// Tensors that the file lacks.
    pub missing: Vec<String>,
    /// Tensors that only the file has.
    pub unexpected: Vec<String>,
    /// Name, shape in the file, expected shape.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

/// The probable cause of a [`TensorMismatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MismatchCause {
    /// The file belongs to another model: shapes differ, or most names do.
    OtherModel,
    /// The output projection is missing, and the config does not tie it to the embedding.
    NoHead,
    /// Every name has this prefix, which is not the one of a known wrapper.
    Prefix(String),
    /// The adapter file also holds full modules, which were trained or resized with the adapter.
    SavedModules(Vec<String>),
    /// Some tensors are missing or unexpected.
    Incomplete,
}

/// Why a field of `adapter_config.json` is refused: what it would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterRefusal {
    /// The adapter is of a type that is not implemented.
    OtherType,
    /// The adapter is a variant of LoRA with another computation.
    OtherMethod,
    /// The adapter's initialisation subtracted it from the base's weights; it fits only the changed base.
    ChangedBase,
    /// The adapter's initialisation compensates for the quantisation of the base.
    QuantizedBase,
    /// The adapter applies to some of the tokens.
    PartOfTokens,
    /// Parameters outside the adapter were trained.
    OtherParameters,
    /// The layers differ from those of the base.
    OtherLayers,
    /// The field is unknown, and may change anything.
    Unknown,
}

/// The names of each kind that are shown.
const SHOWN: usize = 4;

impl TensorMismatch {
    /// Whether there are no differences.
    pub(crate) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshaped.is_empty()
    }
}

impl fmt::Display for TensorMismatch {
    /// Counts, then the first names of each kind.
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
    /// A line that explains the cause, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherModel | Self::Incomplete => Ok(()),
            Self::NoHead => {
                f.write_str("\ntie_word_embeddings is false, but there is no output projection beside the embedding")
            }
            Self::Prefix(prefix) => write!(f, "\nevery name begins with `{prefix}`, expected `model.`"),
            Self::SavedModules(modules) => write!(
                f,
                "\nthe file also holds full weights of {}, trained or resized with the adapter; only the adapter can be \
                 loaded",
                modules.join(" and ")
            ),
        }
    }
}

impl fmt::Display for AdapterRefusal {
    /// What is expected instead.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherType => {
                let known: Vec<&str> = MethodKind::all().map(|kind| kind.peft_type).collect();
                let known = known.join(", ");
                return write!(f, "{known}, or a method of another crate that the program has registered");
            }
            Self::OtherMethod => "an adapter without it: its computation is not implemented",
            Self::ChangedBase => "an adapter of an unchanged base: this initialisation changes the base's weights",
            Self::QuantizedBase => "an adapter of an unchanged base: this initialisation makes up for a quantised one",
            Self::PartOfTokens => "an adapter without it: it applies the adapter to some of the tokens only",
            Self::OtherParameters => "an adapter without it: it trains parameters outside the adapter",
            Self::OtherLayers => "an adapter without it: its layers differ from those of the base",
            Self::Unknown => "a known field, or a neutral value: its effect is unknown",
        })
    }
}
