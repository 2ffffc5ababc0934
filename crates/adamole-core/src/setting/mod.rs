//! Settings: what a flag, a key of a configuration file and a field of an adapter file are declared by, once.

mod group;
mod kind;

#[doc(hidden)]
pub use group::given_or;
pub use group::{SettingGroup, SettingMap};
pub use kind::SettingKind;

use crate::SettingError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Number, Value};

/// The declaration of a setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in files; its flag has hyphens in place of the underscores.
    pub name: &'static str,
    /// Whether each group of layers may have a value of its own.
    pub per_layer: bool,
    /// Whether it changes the course of a run, so that a resumed run has to have the same value.
    pub changes_course: bool,
    /// Whether short help shows it: most runs are about such settings.
    pub common: bool,
    help: &'static str,
    default: SettingDefault,
    reference: Option<&'static str>,
    kind: fn() -> SettingKind,
    check: fn(&Value) -> Result<Value, String>,
}

/// What holds where a setting is not given.
#[derive(Debug, Clone, Copy)]
pub enum SettingDefault {
    /// A value.
    Value(fn() -> Value),
    /// A rule, in words, or a value as it is written on a command line.
    Words(&'static str),
    /// Nothing: the setting has to be given.
    Required,
}

impl Setting {
    /// A setting of type `T` that changes the course of a run and is the same in all layers. `default` is a value as it
    /// is written on a command line, or a rule in words.
    pub const fn new<T: Serialize + DeserializeOwned>(
        name: &'static str,
        help: &'static str,
        default: &'static str,
    ) -> Self {
        Self::with_default::<T>(name, help, SettingDefault::Words(default))
    }

    /// The same as [`Setting::new`] with a default of any form.
    pub const fn with_default<T: Serialize + DeserializeOwned>(
        name: &'static str,
        help: &'static str,
        default: SettingDefault,
    ) -> Self {
        Self {
            name,
            help,
            default,
            per_layer: false,
            changes_course: true,
            common: false,
            reference: None,
            kind: SettingKind::of::<T>,
            check: normalised::<T>,
        }
    }

    /// The same, where each group of layers may have a value of its own.
    pub const fn per_layer(self) -> Self {
        Self { per_layer: true, ..self }
    }

    /// The same, where a resumed run may have another value.
    pub const fn free(self) -> Self {
        Self { changes_course: false, ..self }
    }

    /// The same, where short help shows it too.
    pub const fn common(self) -> Self {
        Self { common: true, ..self }
    }

    /// The same, with the reference implementation's value as it is written on a command line.
    pub const fn reference(self, value: &'static str) -> Self {
        Self { reference: Some(value), ..self }
    }

    /// The same, with its default described by a rule in words.
    pub const fn shown(self, rule: &'static str) -> Self {
        Self { default: SettingDefault::Words(rule), ..self }
    }

    /// The same with values of type `T`.
    pub const fn with_values<T: Serialize + DeserializeOwned>(self) -> Self {
        Self { kind: SettingKind::of::<T>, check: normalised::<T>, ..self }
    }

    /// What it is, in a sentence or two.
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }

    /// What it is, in a few words: the first sentence of [`Setting::help`], without its full stop.
    pub fn short_help(&self) -> &'static str {
        let help = self.help();
        help.split_once(". ").map_or(help, |(first, _)| first).trim_end_matches('.')
    }

    /// How its values are written.
    pub fn kind(&self) -> SettingKind {
        (self.kind)()
    }

    /// The names of its values, where it is a choice; other spellings of them apart.
    pub fn names(&self) -> Vec<&'static str> {
        let SettingKind::Choice(names) = self.kind() else { return Vec::new() };
        names.iter().copied().filter(|name| self.parse(name).is_ok_and(|value| value == *name)).collect()
    }

    /// Its default, where that is a value rather than a rule.
    pub fn default_value(&self) -> Option<Value> {
        match self.default {
            SettingDefault::Value(value) => Some(value()).filter(|value| !value.is_null()),
            // Any words are a text, unless it is numbers for groups of layers.
            SettingDefault::Words(words) if self.per_layer || self.kind() != SettingKind::Text => {
                self.parse(words).ok()
            }
            SettingDefault::Words(_) | SettingDefault::Required => None,
        }
    }

    /// Its default, as it is shown; `None` where it has to be given.
    pub fn default_words(&self) -> Option<String> {
        match self.default {
            SettingDefault::Value(value) => Some(shown(&value())),
            SettingDefault::Words(words) => Some(words.to_owned()),
            SettingDefault::Required => None,
        }
    }

    /// The reference implementation's value, where a run may have another.
    pub fn reference_value(&self) -> Option<Value> {
        self.reference.and_then(|text| self.parse(text).ok())
    }

    /// The reference implementation's value, as it is shown.
    pub fn reference_words(&self) -> Option<String> {
        self.reference_value().as_ref().map(shown)
    }

    /// A value from a command line, in the form in which it is recorded.
    ///
    /// # Errors
    /// It is not a value of the setting.
    pub fn parse(&self, text: &str) -> Result<Value, SettingError> {
        let value = match self.kind() {
            SettingKind::Flag => text.parse().ok().map(Value::Bool),
            SettingKind::Integer => text.parse::<u64>().ok().map(Value::from),
            SettingKind::Number => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
            SettingKind::List => Some(text.split(',').map(|part| Value::from(part.trim())).collect()),
            SettingKind::Text | SettingKind::Choice(_) => None,
        };
        // A text that is no number is refused as what it is.
        self.check(&value.unwrap_or_else(|| Value::from(text)))
    }

    /// A value from a file, in the form in which it is recorded.
    ///
    /// # Errors
    /// It is not a value of the setting.
    pub fn check(&self, value: &Value) -> Result<Value, SettingError> {
        (self.check)(value).map_err(|reason| match self.kind() {
            SettingKind::Text | SettingKind::List => SettingError::Malformed { name: self.name, reason },
            SettingKind::Number if value.is_number() => {
                SettingError::invalid(self.name, shown(value), "a number within the range of 32 bits")
            }
            kind => SettingError::invalid(self.name, shown(value), kind.expected()),
        })
    }
}

/// The value as one of type `T` records it. Numbers of 32 bits have the digits that they are written with.
fn normalised<T: Serialize + DeserializeOwned>(value: &Value) -> Result<Value, String> {
    let read: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    match recorded(&read) {
        Value::Null => Err("not a finite number".into()),
        value => Ok(value),
    }
}

/// A value as JSON, by way of text: a number of 32 bits does not get the digits of its 64-bit form.
#[doc(hidden)]
pub fn recorded(value: &impl Serialize) -> Value {
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// A value as it is written on a command line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(shown).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
