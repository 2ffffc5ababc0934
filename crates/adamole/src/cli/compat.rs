//! Where a run departs from the reference implementation.

pub(crate) use super::reading::Compatibility;
use super::settings::{Resolved, Settings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A setting whose value is not the reference implementation's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Departure {
    setting: String,
    ours: Value,
    /// The reference implementation's.
    published: Value,
}

/// The settings of a run whose values are not the reference implementation's.
pub(crate) fn departures(resolved: &Resolved) -> Vec<Departure> {
    let ours = serde_json::to_value(resolved).unwrap_or_default();
    let departure = |(setting, published): (&str, &Value)| {
        let ours = ours.get(setting).or_else(|| ours.get("recipe")?.get(setting))?;
        let differs = || Departure { setting: setting.to_owned(), ours: ours.clone(), published: published.clone() };
        (ours != published).then(differs)
    };
    Settings::reference().iter().filter_map(departure).collect()
}
