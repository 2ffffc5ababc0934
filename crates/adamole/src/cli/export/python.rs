//! The loader of adapters in Python.

use super::Failure;
use crate::cli::output::{Format, print};
use adamole::llama::{ModelError, write_atomically};
use serde::Serialize;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const NAME: &str = "adamole_adapter.py";
const SOURCE: &str = include_str!("adamole_adapter.py");

#[derive(Serialize)]
struct Report {
    python: PathBuf,
}

/// `METHODS` of the loader, by their `peft_type`.
const METHODS: [&str; 4] = ["LORA", "MOLE", "ADAMOLE", "SIRA"];

/// Writes the loader to an adapter folder, or to that of a run directory. An older one is replaced.
pub(super) fn run(folder: &Path, format: Format) -> Result<(), Failure> {
    let of_run = folder.join("adapter");
    let folder = if of_run.is_dir() { of_run.as_path() } else { folder };
    let config = folder.join("adapter_config.json");
    let text = fs::read_to_string(&config).map_err(|source| ModelError::Io { path: config.clone(), source })?;
    let fields: Value =
        serde_json::from_str(&text).map_err(|source| ModelError::Json { path: config.clone(), source })?;
    let method = &fields["peft_type"];
    if !method.as_str().is_some_and(|method| METHODS.contains(&method)) {
        let (config, known) = (config.display(), METHODS.join(", "));
        return Err(Failure::Usage(format!("{config}: peft_type is {method}, and the loader in Python knows {known}")));
    }
    let report = Report { python: folder.join(NAME) };
    write_atomically(&report.python, SOURCE.as_bytes())?;
    print(format, &report, || {
        let (file, folder) = (report.python.display(), folder.display());
        format!("{file}: `import adamole_adapter; adamole_adapter.load(model, \"{folder}\")` in Python")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_are_those_of_the_loader() {
        let table =
            SOURCE.split_once("METHODS = {").and_then(|(_, rest)| rest.split_once("\n}")).map(|(table, _)| table);
        let names =
            table.into_iter().flat_map(str::lines).filter_map(|line| line.trim().strip_prefix('"')?.split('"').next());
        assert_eq!(names.collect::<Vec<_>>(), METHODS);
    }
}
