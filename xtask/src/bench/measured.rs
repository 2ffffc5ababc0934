//! A measured process.

use super::comparison::{System, Work};
use crate::{Failure, root};
use adamole_experiments::median;
use serde::Deserialize;
use std::{path::PathBuf, process::Command};

/// The settings of all processes.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) program: PathBuf,
    /// The Python interpreter, if PEFT is measured.
    pub(crate) python: Option<PathBuf>,
    pub(crate) model: PathBuf,
    pub(crate) device: String,
    /// The data type of the frozen weights, as flags of the program.
    pub(crate) weights: Vec<String>,
    pub(crate) threads: usize,
}

/// The part of a result that is compared. The kind of speed depends on the work.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Measured {
    #[serde(alias = "seconds_per_step", alias = "beyond_reading_seconds")]
    pub(crate) seconds: f64,
    pub(crate) items_per_second: Option<f64>,
    pub(crate) rows_per_second: Option<f64>,
    pub(crate) tokens_per_second: Option<f64>,
    pub(crate) peak_memory_bytes: Option<f64>,
    pub(crate) device_memory_bytes: Option<f64>,
    pub(crate) share_of_matmul_peak: Option<f64>,
}

impl Setting {
    /// Runs one process to its end.
    pub(crate) fn measure(&self, system: &System) -> Result<Measured, Failure> {
        let mut command = self.command(system.work)?;
        let threads = self.threads.to_string();
        command.args(system.arguments.split_whitespace());
        // Rayon's threads are those of this program, OpenMP's those of torch.
        command.envs([("RAYON_NUM_THREADS", &threads), ("OMP_NUM_THREADS", &threads)]);
        let output = command.output()?;
        if !output.status.success() {
            let talk = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = talk.lines().collect();
            return Err(format!("{}\n{}", output.status, lines[lines.len().saturating_sub(5)..].join("\n")).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn command(&self, work: Work) -> Result<Command, Failure> {
        if let Work::Peer(script) = work {
            let mut command = Command::new(self.python.as_ref().ok_or("the peers need Python")?);
            command.arg(root().join("xtask/peers").join(script)).arg("--model").arg(&self.model);
            command.args(["--threads", &self.threads.to_string()]);
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            return Ok(command);
        }
        let mut command = Command::new(&self.program);
        match work {
            Work::OfModel(name) => command.args(["bench", name, "--model"]).arg(&self.model).args(&self.weights),
            _ => command.args(["bench", "layer"]),
        };
        command.args(["--format", "json", "--device", &self.device]);
        // A GPU needs no workers.
        if ["auto", "cpu"].contains(&self.device.as_str()) {
            command.args(["--workers", &self.threads.to_string()]);
        }
        Ok(command)
    }
}

impl Measured {
    /// The median of each number; `None` without results.
    pub(crate) fn median(results: &[Self]) -> Option<Self> {
        let of = |number: fn(&Self) -> Option<f64>| {
            let numbers: Vec<f64> = results.iter().filter_map(number).collect();
            (!numbers.is_empty()).then(|| median(&numbers))
        };
        Some(Self {
            seconds: of(|result| Some(result.seconds))?,
            items_per_second: of(|result| result.items_per_second),
            rows_per_second: of(|result| result.rows_per_second),
            tokens_per_second: of(|result| result.tokens_per_second),
            peak_memory_bytes: of(|result| result.peak_memory_bytes),
            device_memory_bytes: of(|result| result.device_memory_bytes),
            share_of_matmul_peak: of(|result| result.share_of_matmul_peak),
        })
    }

    /// The speed in the unit of the work.
    pub(crate) fn speed(&self) -> String {
        let speeds = [
            (self.items_per_second, "items/s"),
            (self.rows_per_second, "rows/s"),
            (self.tokens_per_second, "tokens/s"),
        ];
        let found = speeds.into_iter().find_map(|(speed, unit)| Some((speed?, unit)));
        found.map_or_else(
            || "-".into(),
            |(speed, unit)| match speed {
                ..100.0 => format!("{speed:.1} {unit}"),
                _ => format!("{speed:.0} {unit}"),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_every_kind_are_read_and_their_medians_taken() {
        let read = |text: &str| serde_json::from_str::<Measured>(text).unwrap();
        let step = read(r#"{"seconds_per_step": 2.0, "fastest": 1.0, "tokens_per_second": 50.0, "threads": 2}"#);
        assert_eq!((step.seconds, step.speed().as_str()), (2.0, "50.0 tokens/s"));
        let load = read(r#"{"load_seconds": 3.0, "beyond_reading_seconds": 1.5, "peak_memory_bytes": 7}"#);
        assert_eq!((load.seconds, load.speed().as_str(), load.peak_memory_bytes), (1.5, "-", Some(7.0)));
        let eval = |seconds: f64| {
            read(&format!(r#"{{"seconds": {seconds}, "items_per_second": 640, "tokens_per_second": 1}}"#))
        };
        let median = Measured::median(&[eval(4.0), eval(1.0)]).unwrap();
        assert_eq!((median.seconds, median.speed().as_str()), (2.5, "640 items/s"));
        assert_eq!(Measured::median(&[eval(4.0), eval(1.0), eval(3.0)]).unwrap().seconds, 3.0);
        assert_eq!(Measured::median(&[]), None);
    }
}
