//! What a method costs on a machine that does nothing else: the time of a step, the latency of a decode and the peak memory.
//!
//! Cells may run beside other work, so that their own times are no costs.

use super::{Comparison, reported};
use crate::{
    ExperimentError, cell::Launch, definition::Definitions, machine, outcome::read_json, place::Places, results::median,
};
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

/// Settings for all methods that a step on its own has too.
const OF_A_STEP: [&str; 3] = ["targets", "dropout", "dtype"];

/// The batch that is timed, and how often in a round.
const STEP: [&str; 8] = ["--batch", "16", "--tokens", "64", "--labels", "answer", "--steps", "3"];

/// How often all methods are measured, in turn, so that a machine that is slower for a while is so for all of them.
const ROUNDS: usize = 3;

/// The measured costs of a method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Of an optimizer step over 16 texts of 64 tokens: the median of three steps, in each round.
    pub(crate) seconds_per_step: Vec<f64>,
    /// The largest of the rounds.
    pub(crate) peak_memory_bytes: Option<u64>,
    /// Of one token after another for one text: the median of three runs of 64, in each round.
    pub(crate) seconds_per_decoded_token: Vec<f64>,
    pub(crate) processor: String,
    pub(crate) program: String,
    pub(crate) date: String,
}

impl Cost {
    /// The median over rounds.
    pub(crate) fn step(&self) -> f64 {
        median(&self.seconds_per_step)
    }

    fn write(&self, path: &Path) -> Result<(), ExperimentError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(ExperimentError::io(folder))?;
        }
        let json = serde_json::to_string_pretty(self).map_err(|error| ExperimentError::io(path)(error.into()))?;
        fs::write(path, json + "\n").map_err(ExperimentError::io(path))
    }
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

/// Measures every compared method, in rounds of one after the other, and writes a file for each, anew after
/// each of its measurements.
///
/// # Errors
/// The program fails, or a file cannot be written.
pub(crate) fn measure(
    comparison: &Comparison,
    definitions: &Definitions,
    places: &Places,
    launch: &Launch,
) -> Result<(), ExperimentError> {
    let role = reported(definitions).map(|experiment| &experiment.model);
    let model = role.and_then(|role| places.model(role, definitions.preset.models.get(role)?)).unwrap_or_default();
    let program = launch.program.as_ref().ok_or(ExperimentError::NoProgram)?;
    let place = ["--model".to_owned(), model, "--device".into(), launch.device.clone()];
    let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
    for (round, method) in (1..=ROUNDS).flat_map(|round| comparison.rows().into_iter().map(move |row| (round, row))) {
        let Some(variant) = definitions.variant_named(&method) else { continue };
        let flags = [&place[..], &flags_of(&definitions.preset.settings, &variant.settings)].concat();
        let step = bench(program, "step", &[&flags[..], &STEP.map(str::to_owned)].concat())?;
        let decode = bench(program, "generate", &flags)?;
        let seconds_per_step = number(&step, "seconds_per_step")?;
        let seconds_per_decoded_token = 1.0 / number(&decode, "tokens_per_second")?;
        eprintln!(
            "round {round} of {ROUNDS}, {method}: {seconds_per_step:.3} s a step, {:.1} ms a decoded token",
            1e3 * seconds_per_decoded_token
        );
        let path = file(&places.output, &method);
        let cost = costs.entry(method).or_insert_with(|| Cost {
            seconds_per_step: Vec::new(),
            peak_memory_bytes: None,
            seconds_per_decoded_token: Vec::new(),
            processor: machine::processor(),
            program: machine::version(program).unwrap_or_else(|_| "unknown".into()),
            date: machine::today(),
        });
        cost.seconds_per_step.push(seconds_per_step);
        cost.peak_memory_bytes = cost.peak_memory_bytes.max(step["peak_memory_bytes"].as_u64());
        cost.seconds_per_decoded_token.push(seconds_per_decoded_token);
        cost.write(&path)?;
    }
    Ok(())
}

fn number(value: &Value, key: &str) -> Result<f64, ExperimentError> {
    value[key].as_f64().ok_or_else(|| ExperimentError::Printed(format!("no {key}")))
}

/// The settings of a method as flags, with those for all methods that it does not set itself.
fn flags_of(for_all: &Table, own: &Table) -> Vec<String> {
    let for_all = for_all.iter().filter(|(key, _)| OF_A_STEP.contains(&key.as_str()) && !own.contains_key(*key));
    let own = own.iter().filter(|(key, _)| !OF_TRAINING.contains(&key.as_str()));
    for_all.chain(own).flat_map(|(key, value)| flag(key, value)).collect()
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
    fn the_settings_of_a_method_are_flags_before_those_for_all_and_those_of_training_are_not()
    -> Result<(), crate::TestError> {
        let for_all = toml::from_str("dtype = \"bfloat16\"\ndropout = 0.1\ntargets = [\"q\"]\nepochs = 2")?;
        let own = toml::from_str(
            "method = \"lora\"\nrank = 32\nuse_rslora = true\nchain_links = 2\ntargets = [\"q\", \"v\"]\ndtype = \"float32\"",
        )?;
        let flags = flags_of(&for_all, &own);
        let mut pairs: Vec<String> = flags.chunks(2).map(|pair| pair.join(" ")).collect();
        pairs.sort();
        let expected =
            ["--dropout 0.1", "--dtype float32", "--method lora", "--rank 32", "--targets q,v", "--use-rslora true"];
        assert_eq!(pairs, expected);
        Ok(())
    }
}
