//! The settings of an adapter: parsed loosely elsewhere, validated here, carried as types that cannot be wrong.

use crate::SettingError;
use serde::{Deserialize, Serialize};

macro_rules! positive_integer {
    ($(#[$doc:meta])* $name:ident, $setting:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "usize", into = "usize")]
        pub struct $name(usize);

        impl $name {
            /// The number, at least 1.
            pub fn get(self) -> usize {
                self.0
            }
        }

        impl TryFrom<usize> for $name {
            type Error = SettingError;
            fn try_from(value: usize) -> Result<Self, SettingError> {
                match value {
                    0 => Err(SettingError::invalid($setting, value, "an integer of at least 1")),
                    _ => Ok(Self(value)),
                }
            }
        }

        impl From<$name> for usize {
            fn from(value: $name) -> usize {
                value.0
            }
        }
    };
}

positive_integer! {
    /// Rank r of one expert's pair of matrices (of the only pair, for a plain LoRA).
    Rank, "rank"
}
positive_integer! {
    /// Number of experts N on one linear layer.
    NumExperts, "num_experts"
}
positive_integer! {
    /// Number of experts k that a token fires; a router of fewer experts fires them all.
    TopK, "top_k"
}

/// A finite float within a range, as a type of its own.
macro_rules! bounded_float {
    ($(#[$doc:meta])* $name:ident, $setting:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "f32", into = "f32")]
        pub struct $name(f32);

        impl $name {
            /// The number.
            pub fn get(self) -> f32 {
                self.0
            }
        }

        impl TryFrom<f32> for $name {
            type Error = SettingError;
            fn try_from(value: f32) -> Result<Self, SettingError> {
                let valid: fn(f32) -> bool = $valid;
                if value.is_finite() && valid(value) {
                    Ok(Self(value))
                } else {
                    Err(SettingError::invalid($setting, value, $expected))
                }
            }
        }

        impl From<$name> for f32 {
            fn from(value: $name) -> f32 {
                value.0
            }
        }
    };
}

bounded_float! {
    /// Upper end of the range in which AdaMoLE's threshold moves (tau_max in the paper).
    TauMax, "tau_max", "a number above 0", |v| v > 0.0
}
bounded_float! {
    /// A probability of dropping, in `[0, 1)`.
    Probability, "dropout", "a number in [0, 1)", |v| (0.0..1.0).contains(&v)
}

bounded_float! {
    /// Share of the gate's probability that the chosen experts have to reach, in `(0, 1]`.
    TopP, "top_p", "a number in (0, 1]", |v| v > 0.0 && v <= 1.0
}
bounded_float! {
    /// Tokens that an expert takes from one sequence, as a multiple of its even share `k S / N`.
    CapacityFactor, "capacity_factor", "a number above 0", |v| v > 0.0
}

/// How the experts of a MoLE are chosen from the gate's probabilities. The weights of the chosen are their
/// probabilities, scaled to sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The k most probable.
    TopK(TopK),
    /// All whose probability reaches this threshold.
    Threshold(f32),
    /// The fewest whose probabilities together reach this share.
    TopP(TopP),
}

/// Which experts there are and how a token chooses among them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Method {
    /// One low-rank pair, no gate (Hu et al. 2021).
    Lora,
    /// A softmax gate and a fixed rule of choice.
    Mole {
        /// N.
        num_experts: NumExperts,
        /// The rule.
        #[serde(flatten)]
        selection: Selection,
    },
    /// A softmax gate and a threshold learned per token (Liu & Luo 2024).
    AdaMole {
        /// N.
        num_experts: NumExperts,
        /// Upper end of the threshold's range; 1/N where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tau_max: Option<TauMax>,
    },
    /// Sparse mixture of LoRA: top-k of a gate that is itself dropped out, with a limit on the tokens that an expert
    /// takes (Zhu et al. 2023; its settings are not all published, and the defaults here are ours).
    Sira {
        /// N.
        num_experts: NumExperts,
        /// k.
        top_k: TopK,
        /// Limit per expert and sequence; no limit where absent. Evaluation knows none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capacity_factor: Option<CapacityFactor>,
        /// Dropout on the gate's probabilities, in training only.
        gate_dropout: Probability,
        /// Whether the weights are scaled to sum to 1; the paper does not.
        #[serde(default)]
        renormalise: bool,
    },
}

/// What sits on one adapted linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Which experts, chosen how.
    pub method: Method,
    /// Rank of ONE expert; N experts of rank r hold the parameters of one LoRA of rank N r.
    pub rank: Rank,
    /// Numerator of the scale alpha / r.
    pub alpha: f32,
    /// Dropout on the input of the experts (never on the gate's), in training only.
    pub dropout: Probability,
}

impl AdapterConfig {
    /// N; 1 for a plain LoRA.
    pub fn num_experts(&self) -> usize {
        match self.method {
            Method::Lora => 1,
            Method::Mole { num_experts, .. }
            | Method::AdaMole { num_experts, .. }
            | Method::Sira { num_experts, .. } => num_experts.get(),
        }
    }

    /// s = alpha / r, with r the rank of one expert.
    pub fn scale(&self) -> f32 {
        self.alpha / self.rank.get() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_their_range_are_refused_by_name() {
        assert_eq!(Rank::try_from(0).unwrap_err().to_string(), "rank is 0, expected an integer of at least 1");
        assert!(TauMax::try_from(-0.1).is_err() && TauMax::try_from(f32::NAN).is_err());
        assert!(Probability::try_from(1.0).is_err() && Probability::try_from(0.0).is_ok());
        assert!(TopP::try_from(0.0).is_err() && TopP::try_from(1.0).is_ok() && TopK::try_from(0).is_err());
    }
}
