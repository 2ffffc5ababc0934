//! Why a field of an adapter's config is refused.

use std::fmt;

/// What a field of `adapter_config.json` would change, were it understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterRefusal {
    /// The adapter is of a type that is not implemented.
    OtherType,
    /// The adapter is a LoRA that computes something else.
    OtherMethod,
    /// The adapter began as a part that was taken out of the base's weights: it fits only what was left of them.
    ChangedBase,
    /// The same on a base that was quantised as well.
    QuantizedBase,
    /// The adapter acts on a part of the tokens.
    PartOfTokens,
    /// Parameters beside the adapter's were trained.
    OtherParameters,
    /// The layers are not those of the base.
    OtherLayers,
    /// The field is not known: it may change anything.
    Unknown,
}

impl fmt::Display for AdapterRefusal {
    /// What is expected instead.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherType => "LORA, MOLE, ADAMOLE or SIRA",
            Self::OtherMethod => "an adapter without it: what it computes is not implemented",
            Self::ChangedBase => "an adapter of an unchanged base: this start took a part out of the base's weights",
            Self::QuantizedBase => "an adapter of an unchanged base: this start makes up for a quantised one",
            Self::PartOfTokens => "an adapter without it: it would act on a part of the tokens only",
            Self::OtherParameters => "an adapter without it: other parameters than the adapter's were trained",
            Self::OtherLayers => "an adapter without it: it needs other layers than the base has",
            Self::Unknown => "a field that is known, or nothing: what it changes is not known here",
        })
    }
}
