//! The published implementation's choices, where ours are others.

use super::{
    reading::{ReadingSettings, ScoringName},
    settings::{Resolved, Settings},
};
use adamole::{
    core::DropoutScope,
    data::{LabelScope, Order, Padding, Truncation},
    train::Accumulation,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whose choices stand where a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compatibility {
    /// The published implementation's
    Reference,
}

/// What the published implementation does with items.
pub(crate) fn published_reading() -> ReadingSettings {
    ReadingSettings {
        truncation: Some(Truncation::Right),
        scoring: Some(ScoringName::Reference),
        ..ReadingSettings::default()
    }
}

/// What the published implementation does in training. Its defaults of sizes and rates are the program's in any case.
pub(crate) fn published() -> Settings {
    Settings {
        reading: published_reading(),
        warmup_from_zero: Some(true),
        accumulation: Some(Accumulation::MicroBatches),
        labels: Some(LabelScope::Text),
        order: Some(Order::LengthGrouped),
        dropout_scope: Some(DropoutScope::Expert),
        padding: Some(Padding::Left),
        ..Settings::default()
    }
}

/// A choice that is not the published implementation's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Departure {
    setting: String,
    ours: Value,
    published: Value,
}

/// The choices of a run that differ from the published implementation's.
pub(crate) fn departures(resolved: &Resolved) -> Vec<Departure> {
    let ours = serde_json::to_value(resolved).unwrap_or_default();
    let published = published().fields().into_iter().filter(|(_, value)| !value.is_null());
    let departure = |(setting, published): (String, Value)| {
        let ours = ours.get(&setting).or_else(|| ours.get("recipe")?.get(&setting))?.clone();
        (ours != published).then_some(Departure { setting, ours, published })
    };
    published.filter_map(departure).collect()
}
