//! What a method costs on a machine that does nothing else: the time of a step, the latency of a decode and the peak memory.
//!
//! Cells may run beside other work, so that their own times are no costs.

use super::{ACCURACY, Comparison};
use crate::{ExperimentError, cell::Launch, definition::Definitions, machine, outcome::read_json, place::Places};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use toml::Table;

/// Settings of a method that training has and a step on its own has not.
const OF_TRAINING: [&str; 3] = ["chain_links", "loraplus_lr_ratio", "balance_coefficient"];

/// The batch that is timed.
const BATCH: [&str; 6] = ["--batch", "16", "--tokens", "64", "--labels", "answer"];

/// The measured costs of a method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Of an optimizer step over 16 texts of 64 tokens, the median of five.
    pub(crate) seconds_per_step: f64,
    pub(crate) peak_memory_bytes: Option<u64>,
    /// Of one token after another for one text, the median of three runs of 64.
    pub(crate) seconds_per_decoded_token: f64,
    pub(crate) processor: String,
    pub(crate) program: String,
    pub(crate) date: String,
}

/// The file with a method's costs.
fn file(output: &Path, method: &str) -> PathBuf {
    output.join("costs").join(format!("{method}.json"))
}

/// The costs of all methods that have been measured.
pub(crate) fn read(comparison: &Comparison, output: &Path) -> Result<BTreeMap<String, Cost>, ExperimentError> {
    let mut costs = BTreeMap::new();
    for method in comparison.rows() {
        let path = file(output, &method);
        if path.exists() {
            costs.insert(method, read_json(&path)?);
        }
    }
    Ok(costs)
}

/// Measures every compared method, one after the other, and writes a file for each.
///
/// # Errors
/// The program fails, or a file cannot be written.
pub(crate) fn measure(
    comparison: &Comparison,
    definitions: &Definitions,
    places: &Places,
    launch: &Launch,
) -> Result<(), ExperimentError> {
    let experiment = definitions.experiments.iter().find(|experiment| experiment.id == ACCURACY);
    let model =
        experiment.and_then(|experiment| Some((&experiment.model, definitions.preset.models.get(&experiment.model)?)));
    let model = model.and_then(|(role, model)| places.model(role, model)).unwrap_or_default();
    let program = launch.program.as_ref().ok_or(ExperimentError::NoProgram)?;
    for method in comparison.rows() {
        let Some(variant) = definitions.variant_named(&method) else { continue };
        let mut flags = vec!["--model".to_owned(), model.clone(), "--device".into(), launch.device.clone()];
        for key in ["targets", "dropout", "dtype"] {
            flags.extend(definitions.preset.settings.get(key).into_iter().flat_map(|value| flag(key, value)));
        }
        flags.extend(flags_of(&variant.settings));
        let step = bench(program, "step", &[&flags[..], &BATCH.map(str::to_owned)].concat())?;
        let decode = bench(program, "generate", &flags)?;
        let number =
            |value: &Value, key: &str| value[key].as_f64().ok_or_else(|| ExperimentError::Printed(format!("no {key}")));
        let cost = Cost {
            seconds_per_step: number(&step, "seconds_per_step")?,
            peak_memory_bytes: step["peak_memory_bytes"].as_u64(),
            seconds_per_decoded_token: 1.0 / number(&decode, "tokens_per_second")?,
            processor: machine::processor(),
            program: machine::version(program).unwrap_or_else(|_| "unknown".into()),
            date: machine::today(),
        };
        eprintln!(
            "{method}: {:.3} s a step, {:.1} ms a decoded token",
            cost.seconds_per_step,
            1e3 * cost.seconds_per_decoded_token
        );
        let path = file(&places.output, &method);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(ExperimentError::io(folder))?;
        }
        let json = serde_json::to_string_pretty(&cost).map_err(|error| ExperimentError::io(&path)(error.into()))?;
        fs::write(&path, json + "\n").map_err(ExperimentError::io(path))?;
    }
    Ok(())
}

/// The settings of a method as flags.
fn flags_of(settings: &Table) -> Vec<String> {
    let own = settings.iter().filter(|(key, _)| !OF_TRAINING.contains(&key.as_str()));
    own.flat_map(|(key, value)| flag(key, value)).collect()
}

fn flag(key: &str, value: &toml::Value) -> [String; 2] {
    let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value = match value.as_array() {
        Some(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        None => text(value),
    };
    [format!("--{}", key.replace('_', "-")), value]
}

/// The output of `adamole bench`.
fn bench(program: &Path, what: &str, flags: &[String]) -> Result<Value, ExperimentError> {
    let mut command = Command::new(program);
    command.args(["bench", what, "--format", "json"]).args(flags);
    let output = command.output().map_err(ExperimentError::io(program))?;
    if !output.status.success() {
        return Err(ExperimentError::Failed {
            command: format!("bench {what}"),
            status: output.status.to_string(),
            log: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    serde_json::from_slice(&output.stdout).map_err(|error| ExperimentError::Printed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_method_are_flags_and_those_of_training_are_not() -> Result<(), crate::TestError> {
        let settings: Table = toml::from_str(
            "method = \"lora\"\nrank = 32\nuse_rslora = true\nchain_links = 2\ntargets = [\"q\", \"v\"]",
        )?;
        let mut flags = flags_of(&settings);
        flags.sort();
        assert_eq!(flags, ["--method", "--rank", "--targets", "--use-rslora", "32", "lora", "q,v", "true"]);
        Ok(())
    }
}
