//! A method: a row of a table, with its labels and its settings, which may be formulas of the number of experts N and the rank r
//! of an expert.

use serde::Deserialize;
use toml::{Table, Value};

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
    /// Settings, which may hold formulas.
    #[serde(default)]
    pub(crate) settings: Table,
}

fn no_gating() -> String {
    "-".into()
}

/// The source of a row's numbers.
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
    /// The name in texts: `AdaMoLE, 0 to 1/N`.
    pub(crate) fn name(&self) -> String {
        if self.gating == "-" { self.title().into() } else { format!("{}, {}", self.title(), self.gating_title()) }
    }

    /// The name of the model in the paper's spelling.
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

    /// The gating in the paper's spelling: `0-1/N` as `0 to 1/N`.
    pub(crate) fn gating_title(&self) -> String {
        self.gating.strip_prefix("0-").map_or_else(|| self.gating.clone(), |end| format!("0 to {end}"))
    }
}

/// The number of experts N and the rank r of an expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Experts {
    pub(crate) number: u32,
    pub(crate) rank: u32,
}

impl Default for Experts {
    /// The paper's: 8 experts of rank 4.
    fn default() -> Self {
        Self { number: 8, rank: 4 }
    }
}

impl Experts {
    /// The settings with numbers in place of the formulas `N`, `r`, `N r`, `1/N`, `3/(2N)` and alike. Other texts are kept.
    pub(crate) fn evaluate(self, settings: &Table) -> Table {
        let evaluated = |value: &Value| value.as_str().and_then(|text| self.value(text));
        settings.iter().map(|(key, value)| (key.clone(), evaluated(value).unwrap_or_else(|| value.clone()))).collect()
    }

    fn value(self, text: &str) -> Option<Value> {
        let Self { number, rank } = self;
        match text {
            "N" => Some(i64::from(number).into()),
            "r" => Some(i64::from(rank).into()),
            "N r" => Some((i64::from(number) * i64::from(rank)).into()),
            _ => {
                let (over, under) = text.split_once('/')?;
                let factor = under.trim_start_matches('(').trim_end_matches(')').strip_suffix('N')?;
                let factor: u32 = if factor.is_empty() { 1 } else { factor.parse().ok()? };
                let over: u32 = over.parse().ok()?;
                Some((f64::from(over) / (f64::from(factor) * f64::from(number))).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_evaluated_and_other_texts_kept() {
        let experts = Experts { number: 4, rank: 8 };
        let value = |text: &str| experts.value(text);
        assert_eq!(value("N"), Some(Value::Integer(4)));
        assert_eq!(value("r"), Some(Value::Integer(8)));
        assert_eq!(value("N r"), Some(Value::Integer(32)));
        let fractions = ["1/N", "1/(2N)", "3/(2N)", "2/N"].map(value);
        assert_eq!(fractions, [0.25, 0.125, 0.375, 0.5].map(|share| Some(Value::Float(share))));
        assert_eq!(["adamole", "8,4", "a/b", "1/2", "datasets/base"].map(value), [const { None }; 5]);
    }
}
