//! What the program says about a cell before it runs: its resolved settings, its size, and the hashes of its inputs.

use crate::ExperimentError;
use crate::cell::Cell;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::{fs, path::Path, process::Command};

/// Incremented when the same settings give other results without a new version of the program.
const FORMAT: u32 = 1;

/// Settings that do not change the result of a run.
const WITHOUT_EFFECT: [&str; 7] =
    ["model", "data", "output", "device", "workers", "checkpoint_every", "keep_checkpoints"];

/// The part of the output of `adamole estimate` that is used here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Estimate {
    config: Map<String, Value>,
    fingerprint: Option<Fingerprint>,
    pub(crate) trainable_parameters: u64,
    pub(crate) steps: u64,
    train_tokens: u64,
    train_operations: f64,
    validation_operations: f64,
    report_operations: f64,
    report_overlaps_validation: bool,
    pub(crate) memory_bytes: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct Fingerprint {
    base: String,
    data: String,
}

/// The hashes that a result depends on. A cell whose result has another definition runs again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// SHA-256 of the resolved settings that change the result.
    pub(crate) settings: String,
    /// SHA-256 of the base model; `None` if it is not available.
    pub(crate) base: Option<String>,
    /// SHA-256 of the encoded items; `None` if they are not available.
    pub(crate) data: Option<String>,
    pub(crate) format: u32,
}

impl Estimate {
    /// Asks the program about a cell. The estimate is made from the files if they are `at_hand`, otherwise from the sizes in the
    /// preset. `folder` is for temporary files.
    pub(crate) fn of(cell: &Cell, program: &Path, folder: &Path, at_hand: bool) -> Result<Self, ExperimentError> {
        let config = folder.join(format!("{}.toml", cell.key.id()));
        fs::write(&config, cell.settings.to_string()).map_err(ExperimentError::io(&config))?;
        let mut command = Command::new(program);
        command.args(["estimate", "--format", "json", "--config"]).arg(&config);
        if !at_hand {
            let (Some([train, validation, report]), Some(tokens)) = (cell.portion.items, cell.portion.tokens) else {
                return Err(ExperimentError::NoSizes { cell: cell.key.id() });
            };
            command.args(["--shape", &cell.shape]).args(["--items", &format!("{train},{validation},{report}")]);
            command.args(["--tokens", &tokens.to_string()]);
        }
        let output = command.output().map_err(ExperimentError::io(program))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            let message = message.trim().trim_start_matches("error: ");
            // The file is a temporary one.
            let message = message.replace(&config.display().to_string(), "its settings");
            return Err(ExperimentError::Refused { cell: cell.key.id(), message });
        }
        let estimate: Self =
            serde_json::from_slice(&output.stdout).map_err(|error| ExperimentError::Printed(error.to_string()))?;
        match cell.reports_apart && estimate.report_overlaps_validation {
            true => Err(ExperimentError::ReportChooses { cell: cell.key.id() }),
            false => Ok(estimate),
        }
    }

    /// The operations of the whole cell: training with its validations, and two evaluations of the reported items.
    pub(crate) fn operations(&self, is_trained: bool) -> f64 {
        let evaluations = 2.0 * self.report_operations;
        if !is_trained {
            return evaluations;
        }
        let epochs = self.config.get("recipe").and_then(|recipe| recipe["epochs"].as_f64()).unwrap_or(1.0);
        self.train_operations + (epochs + 1.0) * self.validation_operations + evaluations
    }

    /// The operations of training for each token.
    pub(crate) fn operations_per_token(&self) -> Option<f64> {
        (self.train_tokens > 0).then(|| self.train_operations / self.train_tokens as f64)
    }

    /// The settings that change the result, with the file name in place of the path of a custom benchmark.
    pub(crate) fn settings(&self) -> Map<String, Value> {
        let of_result = |(key, _): &(String, Value)| !WITHOUT_EFFECT.contains(&key.as_str());
        let mut settings: Map<String, Value> = self.config.clone().into_iter().filter(of_result).collect();
        if let Some(Value::String(benchmark)) = settings.get_mut("benchmark")
            && let Some(name) = Path::new(benchmark).file_stem().and_then(|stem| stem.to_str())
        {
            *benchmark = name.to_owned();
        }
        settings
    }

    pub(crate) fn definition(&self) -> Definition {
        // A map of serde_json is sorted by key.
        let settings = Value::Object(self.settings()).to_string();
        Definition {
            settings: format!("{:x}", Sha256::digest(settings)),
            base: self.fingerprint.as_ref().map(|fingerprint| fingerprint.base.clone()),
            data: self.fingerprint.as_ref().map(|fingerprint| fingerprint.data.clone()),
            format: FORMAT,
        }
    }
}

impl Definition {
    /// Whether both may be of one cell. Unknown hashes are not compared.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let same = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        self.settings == other.settings
            && self.format == other.format
            && same(&self.base, &other.base)
            && same(&self.data, &other.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(config: &str, data: Option<&str>) -> Estimate {
        let fingerprint = data.map(|data| Fingerprint { base: "b".into(), data: data.into() });
        Estimate {
            config: serde_json::from_str(config).unwrap_or_else(|error| panic!("{error}")),
            fingerprint,
            trainable_parameters: 0,
            steps: 0,
            train_tokens: 0,
            train_operations: 10.0,
            validation_operations: 2.0,
            report_operations: 1.0,
            report_overlaps_validation: false,
            memory_bytes: 0,
        }
    }

    #[test]
    fn what_changes_a_result_changes_its_definition() {
        let config = r#"{"alpha": 16, "model": "a", "version": "0.1.0", "recipe": {"epochs": 3}}"#;
        let definition = estimate(config, Some("d")).definition();
        let changed = |config: &str, data| !estimate(config, data).definition().agrees(&definition);
        assert!(!changed(config, Some("d")));
        assert!(!changed(&config.replace("\"a\"", "\"elsewhere\""), Some("d")), "the model's place is no matter");
        assert!(changed(&config.replace("16", "32"), Some("d")), "a setting");
        assert!(changed(&config.replace("0.1.0", "0.2.0"), Some("d")), "the program's version");
        assert!(changed(config, Some("other")), "the data");
        let own = config.replace("\"alpha\"", "\"benchmark\": \"/home/quiz.toml\", \"alpha\"");
        assert_eq!(estimate(&own, None).settings()["benchmark"], "quiz", "no path of a machine");
        assert!(!changed(config, None), "data that is not at hand is not compared");
        assert!(!definition.agrees(&Definition { format: 2, ..definition.clone() }));
    }

    #[test]
    fn a_cell_costs_its_training_validations_and_reports() {
        let estimate = estimate(r#"{"recipe": {"epochs": 3}}"#, None);
        assert_eq!((estimate.operations(true), estimate.operations(false)), (10.0 + 4.0 * 2.0 + 2.0, 2.0));
    }
}
