//! A method: a row of a table, with its labels and its settings.

use serde::Deserialize;
use toml::Table;

/// A row of a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Method {
    pub(crate) model: String,
    #[serde(default = "no_gating")]
    pub(crate) gating: String,
    #[serde(default)]
    pub(crate) source: Source,
    pub(crate) family: Option<String>,
    /// May hold formulas of N and r.
    #[serde(default)]
    pub(crate) settings: Table,
}

fn no_gating() -> String {
    "-".into()
}

/// Where a row's numbers are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// A training run.
    #[default]
    Trained,
    /// An evaluation of the base alone.
    Untuned,
    /// The same evaluation's most frequent answer.
    Majority,
}

impl Method {
    /// As tables show a row: `AdaMoLE, 0 to 1/N`.
    pub(crate) fn name(&self) -> String {
        if self.gating == "-" { self.title().into() } else { format!("{}, {}", self.title(), self.gating_title()) }
    }

    /// The model as the paper spells it.
    pub(crate) fn title(&self) -> &str {
        match self.model.as_str() {
            "lora" => "LoRA",
            "sira" => "SiRA",
            "mole" => "MoLE",
            "adamole" => "AdaMoLE",
            "majority" => "majority class",
            "untuned" => "untuned base",
            own => own,
        }
    }

    /// The gating as the paper spells it: `0-1/N` as `0 to 1/N`.
    pub(crate) fn gating_title(&self) -> String {
        self.gating.strip_prefix("0-").map_or_else(|| self.gating.clone(), |end| format!("0 to {end}"))
    }
}
