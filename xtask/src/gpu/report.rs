//! The result of `xtask/gpu/run.sh`.

use crate::Failure;
use serde::Deserialize;
use serde_json::Value;
use std::{fs, path::Path};

/// The version of the file that is understood.
const FORMAT: u64 = 1;

#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    format: u64,
    pub(crate) device: String,
    pub(crate) dtype: String,
    pub(crate) small: bool,
    pub(crate) date: String,
    pub(crate) program: String,
    /// What NVIDIA's driver says of itself and the GPU; empty where there is none.
    pub(crate) driver: String,
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) seconds: f64,
    /// Why it failed or was skipped; empty where it passed.
    pub(crate) reason: String,
    /// What its program printed; null where that is no JSON.
    pub(crate) result: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Passed,
    Failed,
    Skipped,
}

impl Report {
    /// Reads a file of the known format.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let said = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| said(error.to_string()))?;
        let report: Self = serde_json::from_str(&text).map_err(|error| said(error.to_string()))?;
        match report.format {
            FORMAT => Ok(report),
            other => Err(said(format!("format {other}, expected {FORMAT}")).into()),
        }
    }

    /// The names of the parts that failed.
    pub(crate) fn failed(&self) -> Vec<&str> {
        let failed = self.parts.iter().filter(|part| part.status == Status::Failed);
        failed.map(|part| part.name.as_str()).collect()
    }

    /// The name that the device gives itself, and whether it is emulated in software.
    pub(crate) fn hardware(&self) -> (String, bool) {
        let listed = self.parts.iter().find_map(|part| part.result.get("devices")?.as_array());
        let wanted = if self.device.contains(':') { self.device.clone() } else { format!("{}:0", self.device) };
        let found = listed.and_then(|devices| devices.iter().find(|device| device["name"] == wanted.as_str()));
        let name = found.and_then(|device| device["description"].as_str()).unwrap_or(&self.device).to_owned();
        (name, found.is_some_and(|device| device["is_software"] == true))
    }
}
