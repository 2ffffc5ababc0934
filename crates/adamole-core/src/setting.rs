//! Named settings: what a flag, a key of a configuration file and a field of an adapter file are declared by, once.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// How the values of a setting are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// `true` or `false`.
    Flag,
    /// An integer.
    Integer,
    /// A number.
    Number,
    /// A word or a path.
    Text,
    /// Several words.
    List,
}

/// The declaration of a setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in files; its flag has hyphens in place of the underscores.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// Its default, as it is shown.
    pub default: &'static str,
    /// How values are written.
    pub kind: SettingKind,
    /// Whether every group of layers may have a value of its own.
    pub per_layer: bool,
    /// Whether it changes the course of a run, so that a resumed run must have the same.
    pub changes_course: bool,
    /// What the reference implementation does, as JSON, where that can be another choice than the default.
    pub reference: Option<&'static str>,
    /// A value from a command line.
    pub parse: fn(&str) -> Result<Value, String>,
    /// A value from a file, in the form that it is kept in.
    pub check: fn(&Value) -> Result<Value, String>,
}

/// A type that settings are of.
pub trait SettingValue: Serialize + DeserializeOwned {
    /// How its values are written.
    const KIND: SettingKind;

    /// A value from a command line.
    ///
    /// # Errors
    /// What would be right.
    fn parse(text: &str) -> Result<Self, String> {
        let value = match Self::KIND {
            SettingKind::Text => Value::String(text.to_owned()),
            SettingKind::List => text.split(',').map(|part| Value::String(part.trim().to_owned())).collect(),
            _ => serde_json::from_str(text).map_err(|_| format!("expected {}", Self::KIND.expected()))?,
        };
        serde_json::from_value(value).map_err(|error| error.to_string())
    }
}

impl SettingKind {
    /// What is expected of a value, in words.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Text => "a word",
            Self::List => "words, comma-separated",
        }
    }
}

impl Setting {
    /// A setting of type `T` that changes the course of a run and is one for all layers.
    pub const fn new<T: SettingValue>(name: &'static str, help: &'static str, default: &'static str) -> Self {
        fn parse<T: SettingValue>(text: &str) -> Result<Value, String> {
            T::parse(text).and_then(|value| serde_json::to_value(value).map_err(|error| error.to_string()))
        }
        fn check<T: SettingValue>(value: &Value) -> Result<Value, String> {
            let value: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
            serde_json::to_value(value).map_err(|error| error.to_string())
        }
        Self {
            name,
            help,
            default,
            kind: T::KIND,
            per_layer: false,
            changes_course: true,
            reference: None,
            parse: parse::<T>,
            check: check::<T>,
        }
    }

    /// The same, where every group of layers may have its own value.
    pub const fn per_layer(self) -> Self {
        Self { per_layer: true, ..self }
    }

    /// The same, where a resumed run may have another value.
    pub const fn free(self) -> Self {
        Self { changes_course: false, ..self }
    }

    /// The same, with the reference implementation's choice.
    pub const fn reference(self, json: &'static str) -> Self {
        Self { reference: Some(json), ..self }
    }
}

/// Implements [`SettingValue`] for types that serde reads.
#[macro_export]
macro_rules! setting_values {
    ($($type:ty: $kind:ident),* $(,)?) => {
        $(impl $crate::SettingValue for $type {
            const KIND: $crate::SettingKind = $crate::SettingKind::$kind;
        })*
    };
}

setting_values! {
    bool: Flag, usize: Integer, u64: Integer, f32: Number, f64: Number, String: Text, std::path::PathBuf: Text,
    Vec<String>: List,
}

impl<T: SettingValue> SettingValue for Option<T> {
    const KIND: SettingKind = T::KIND;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }
}
