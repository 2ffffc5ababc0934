//! The loader of adapters in Python.

use super::Failure;
use crate::cli::output::{Format, print};
use adamole::llama::{ModelError, write_atomically};
use serde::Serialize;
use std::path::{Path, PathBuf};

const NAME: &str = "adamole_adapter.py";
const SOURCE: &str = include_str!("adamole_adapter.py");

#[derive(Serialize)]
struct Report {
    python: PathBuf,
}

/// Writes the loader to an adapter folder, or to that of a run directory. An older one is replaced.
pub(super) fn run(folder: &Path, format: Format) -> Result<(), Failure> {
    let of_run = folder.join("adapter");
    let folder = if of_run.is_dir() { of_run.as_path() } else { folder };
    let config = folder.join("adapter_config.json");
    if !config.is_file() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(ModelError::Io { path: config, source }.into());
    }
    let report = Report { python: folder.join(NAME) };
    write_atomically(&report.python, SOURCE.as_bytes())?;
    print(format, &report, || {
        let (file, folder) = (report.python.display(), folder.display());
        format!("{file}: `import adamole_adapter; adamole_adapter.load(model, \"{folder}\")` in Python")
    })
}
