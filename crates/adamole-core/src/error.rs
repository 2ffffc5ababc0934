//! What can be wrong with an adapter's settings.

/// A setting outside the range in which the method is defined.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} is {value}, expected {expected}")]
pub struct ConfigError {
    /// The setting, by its name in configuration files.
    pub name: &'static str,
    /// What was given.
    pub value: String,
    /// The range that would be right.
    pub expected: &'static str,
}

impl ConfigError {
    pub(crate) fn new(name: &'static str, value: impl ToString, expected: &'static str) -> Self {
        Self { name, value: value.to_string(), expected }
    }
}
