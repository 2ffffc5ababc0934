//! What can be wrong with a setting.

/// A setting that is not valid, by its name in configuration files.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A value is outside the range in which it is defined.
    #[error("{name} is {value}, expected {expected}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// The range that would be right.
        expected: String,
    },
    /// A value cannot be read.
    #[error("{name}: {reason}")]
    Malformed {
        /// The setting.
        name: &'static str,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// A name that no setting has.
    #[error("there is no setting `{name}`{}", nearest.map_or_else(|| format!("; the settings are {known}"), |it| format!(", did you mean `{it}`?")))]
    Unknown {
        /// What was given.
        name: String,
        /// The setting with the nearest name, where one is near.
        nearest: Option<&'static str>,
        /// All settings.
        known: String,
    },
    /// A value is needed and absent.
    #[error("{name} is needed: {help}")]
    Missing {
        /// The setting.
        name: &'static str,
        /// What it is.
        help: &'static str,
    },
    /// A setting of another method.
    #[error("`{name}` is not valid with the method `{method}`")]
    OtherMethod {
        /// The setting.
        name: String,
        /// The method.
        method: &'static str,
    },
    /// Several settings of which only one can be given.
    #[error("only one of {} can be given", names.join(", "))]
    Exclusive {
        /// The settings.
        names: &'static [&'static str],
    },
}

impl SettingError {
    /// A value outside its range.
    pub fn invalid(name: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Invalid { name, value: value.to_string(), expected: expected.into() }
    }

    /// The same of a setting of another name, for a type that several settings have.
    pub fn named(self, name: &'static str) -> Self {
        match self {
            Self::Invalid { value, expected, .. } => Self::Invalid { name, value, expected },
            other => other,
        }
    }
}
