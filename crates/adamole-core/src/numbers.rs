//! Numbers that settings are of, each within its range.

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
    /// Number of experts k that a token activates; all of them where there are fewer.
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
    /// Share of the gate's probability that the active experts have to reach, in `(0, 1]`.
    TopP, "top_p", "a number in (0, 1]", |v| v > 0.0 && v <= 1.0
}
bounded_float! {
    /// Tokens that an expert takes from one sequence, as a multiple of its even share `k S / N`.
    CapacityFactor, "capacity_factor", "a number above 0", |v| v > 0.0
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
