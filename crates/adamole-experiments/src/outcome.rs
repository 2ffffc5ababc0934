//! The result file of a cell, which is small and has no paths of a machine.

use crate::ExperimentError;
use crate::{cell::Printed, estimate::Definition, plan::Key};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{fs, path::Path};

/// The content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) model: String,
    pub(crate) benchmark: String,
    pub(crate) method: String,
    pub(crate) seed: u64,
    pub(crate) definition: Definition,
    pub(crate) settings: Map<String, Value>,
    pub(crate) trainable_parameters: u64,
    pub(crate) memory_estimate_bytes: u64,
    pub(crate) operations: f64,
    /// Those of a training step for each token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) operations_per_token: Option<f64>,
    /// The wall time of the cell over all invocations that trained it.
    pub(crate) seconds: f64,
    pub(crate) environment: Environment,
    #[serde(flatten)]
    pub(crate) end: End,
}

/// How the cell ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    Result(Box<Numbers>),
    /// The last lines of the log.
    Failure(String),
}

/// Where and when the cell ran.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Environment {
    pub(crate) processor: String,
    pub(crate) size: String,
    pub(crate) system: String,
    pub(crate) program: String,
    pub(crate) device: String,
    pub(crate) date: String,
}

/// The results of a cell. Accuracies are from 0 to 1.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Numbers {
    /// The accuracy on the reported items with aligned scoring.
    pub(crate) accuracy: f64,
    /// The same with reference scoring, if it is evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference_accuracy: Option<f64>,
    /// The accuracy of the most frequent answer.
    pub(crate) majority_accuracy: f64,
    pub(crate) reported_on: String,
    pub(crate) reported_items: u64,
    /// A digit for each reported item in order: 1 if it is answered rightly, otherwise 0. Empty in results of earlier versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) answers: String,
    pub(crate) training: Option<Training>,
}

/// The results of a training run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Training {
    pub(crate) selected_on: String,
    pub(crate) items: u64,
    /// The accuracy on the items that selected the epoch.
    pub(crate) accuracy: f64,
    pub(crate) accuracy_before: f64,
    pub(crate) best_epoch: u64,
    pub(crate) epochs: u64,
    pub(crate) train_items: u64,
    pub(crate) steps: u64,
    pub(crate) task_loss_first_epoch: Option<f64>,
    pub(crate) task_loss_last_epoch: Option<f64>,
    pub(crate) balance_loss_last_epoch: Option<f64>,
    pub(crate) mean_active_experts: Option<f64>,
    pub(crate) mean_threshold: Option<f64>,
    pub(crate) tokens_per_second: f64,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) departures: Vec<Value>,
    pub(crate) linears: Vec<Linear>,
}

/// The routing of the best epoch on one linear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Linear {
    pub(crate) layer: u64,
    pub(crate) projection: String,
    pub(crate) mean_active_experts: f64,
    pub(crate) mean_threshold: Option<f64>,
}

impl Outcome {
    pub(crate) fn key(&self) -> Key {
        let Self { model, benchmark, method, seed, .. } = self;
        Key { model: model.clone(), benchmark: benchmark.clone(), method: method.clone(), seed: *seed }
    }

    /// Whether its accuracy is of the items that chose the epoch, as that of a trial is.
    pub(crate) fn is_of_selection(&self) -> bool {
        self.numbers().and_then(|it| Some(it.reported_on == it.training.as_ref()?.selected_on)).unwrap_or(false)
    }

    /// Reads the file of a cell; `None` if it does not exist.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, ExperimentError> {
        if path.exists() { read_json(path).map(Some) } else { Ok(None) }
    }

    /// Writes the file whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), ExperimentError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(ExperimentError::io(folder))?;
        }
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let json = serde_json::to_string_pretty(self).map_err(|error| ExperimentError::io(path)(error.into()))?;
        fs::write(&temporary, json + "\n").map_err(ExperimentError::io(&temporary))?;
        fs::rename(temporary, path).map_err(ExperimentError::io(path))
    }

    pub(crate) fn numbers(&self) -> Option<&Numbers> {
        match &self.end {
            End::Result(numbers) => Some(numbers),
            End::Failure(_) => None,
        }
    }
}

impl Numbers {
    /// The results from the output of the program and the routing file beside the adapter.
    pub(crate) fn of(printed: &Printed, run: &Path) -> Result<Self, ExperimentError> {
        let missing = |key: &str| ExperimentError::Printed(format!("no {key}"));
        let number = |value: &Value, key: &str| value[key].as_f64().ok_or_else(|| missing(key));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let training = match &printed.train {
            None => None,
            Some(report) => {
                let training: Training = serde_json::from_value(report.clone())
                    .map_err(|error| ExperimentError::Printed(error.to_string()))?;
                Some(Training { linears: linears(&run.join("routing.json"))?, ..training })
            }
        };
        let aligned = printed.train.as_ref().map(|report| &report["reported"]);
        let aligned = aligned.or(printed.aligned.as_ref()).ok_or_else(|| missing("result"))?;
        let reference = printed.reference.as_ref().map(|reference| number(reference, "accuracy"));
        Ok(Self {
            accuracy: number(aligned, "accuracy")?,
            reference_accuracy: reference.transpose()?,
            answers: answers(&printed.answers)?,
            majority_accuracy: number(aligned, "majority_accuracy")?,
            reported_on: text(&aligned["split"]),
            reported_items: aligned["items"].as_u64().unwrap_or_default(),
            training,
        })
    }
}

/// Reads the result file of a cell or of its run.
///
/// # Errors
/// It cannot be read or parsed.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ExperimentError> {
    let text = fs::read(path).map_err(ExperimentError::io(path))?;
    serde_json::from_slice(&text).map_err(|source| ExperimentError::Result { path: path.to_owned(), source })
}

/// Which items are answered rightly, as digits; empty if the program did not write their scores.
fn answers(path: &Path) -> Result<String, ExperimentError> {
    #[derive(Deserialize)]
    struct Prediction {
        predicted: usize,
        answer: Option<usize>,
    }
    if !path.exists() {
        return Ok(String::new());
    }
    let lines = fs::read_to_string(path).map_err(ExperimentError::io(path))?;
    let digit = |line: &str| {
        let prediction: Prediction =
            serde_json::from_str(line).map_err(|source| ExperimentError::Result { path: path.to_owned(), source })?;
        Ok(if prediction.answer == Some(prediction.predicted) { '1' } else { '0' })
    };
    lines.lines().map(digit).collect()
}

/// The routing of each linear; empty if nothing is routed.
fn linears(path: &Path) -> Result<Vec<Linear>, ExperimentError> {
    #[derive(Deserialize)]
    struct Analysis {
        linears: Vec<Linear>,
    }
    if !path.exists() {
        return Ok(Vec::new());
    }
    let analyses: Vec<Analysis> = read_json(path)?;
    Ok(analyses.into_iter().flat_map(|analysis| analysis.linears).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_from_the_output() -> Result<(), crate::TestError> {
        let train = json!({
            "accuracy": 0.5, "selected_on": "train[:9]", "best_epoch": 2, "linears": [], "departures": [],
            "reported": {"split": "test", "accuracy": 0.75, "items": 8, "majority_accuracy": 0.25},
        });
        let folder = tempfile::tempdir()?;
        let answers = folder.path().join("reported.jsonl");
        let line =
            |predicted| format!("{{\"item\": 0, \"predicted\": {predicted}, \"answer\": 1, \"scores\": [0.5]}}\n");
        fs::write(&answers, [1, 0, 1].map(line).concat())?;
        let reference = Some(json!({"accuracy": 0.625}));
        let printed = Printed { train: Some(train), aligned: None, reference, answers, earlier_seconds: 0.0 };
        let numbers = Numbers::of(&printed, Path::new("nowhere"))?;
        assert_eq!((numbers.accuracy, numbers.reference_accuracy, numbers.reported_items), (0.75, Some(0.625), 8));
        assert_eq!(numbers.answers, "101");
        assert_eq!(numbers.training.map(|t| (t.accuracy, t.best_epoch)), Some((0.5, 2)));
        let nothing =
            Printed { train: None, aligned: None, reference: None, answers: "nowhere".into(), earlier_seconds: 0.0 };
        assert!(Numbers::of(&nothing, Path::new("nowhere")).is_err());
        Ok(())
    }
}
