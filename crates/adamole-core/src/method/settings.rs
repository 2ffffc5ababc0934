//! The settings of a method as values by name.

use crate::{Setting, SettingError, SettingKind};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Values of a method's settings, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MethodSettings(Map<String, Value>);

impl MethodSettings {
    /// The number of experts, of methods that have several.
    pub const NUM_EXPERTS: Setting =
        Setting::new::<usize>("num_experts", "Experts on each adapted linear.", "8").per_layer().common();

    /// No value.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a value; without one where it is null.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => {}
            value => drop(self.0.insert(name.to_owned(), value)),
        }
        self
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value of a setting as the number or flag that it is written as, within its range as a `T`; `None` where it is
    /// absent.
    ///
    /// # Errors
    /// It is of another kind, or out of its range.
    pub fn read<W: DeserializeOwned, T: TryFrom<W>>(&self, name: &'static str) -> Result<Option<T>, SettingError>
    where
        SettingError: From<T::Error>,
    {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let written: W = serde_json::from_value(value.clone())
            .map_err(|_| SettingError::invalid(name, value, SettingKind::of::<W>().expected()))?;
        T::try_from(written).map(Some).map_err(|error| SettingError::from(error).named(name))
    }

    /// The same of a setting that has to be there.
    ///
    /// # Errors
    /// Those of [`MethodSettings::read`], and that it is absent.
    pub fn required<W: DeserializeOwned, T: TryFrom<W>>(&self, setting: &'static Setting) -> Result<T, SettingError>
    where
        SettingError: From<T::Error>,
    {
        let missing = SettingError::Missing { name: setting.name, help: setting.help() };
        self.read(setting.name)?.ok_or(missing)
    }
}

impl From<MethodSettings> for Map<String, Value> {
    fn from(settings: MethodSettings) -> Self {
        settings.0
    }
}

impl FromIterator<(String, Value)> for MethodSettings {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        Self(values.into_iter().filter(|(_, value)| !value.is_null()).collect())
    }
}

impl From<std::convert::Infallible> for SettingError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
