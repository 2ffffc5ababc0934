//! The loader of adapters in Python.

use super::Failure;
use crate::cli::output::{Format, print};
use adamole::{
    core::METHODS,
    llama::{ModelError, write_atomically},
};
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

/// Writes the loader to an adapter folder, or to that of a run directory. An older one is replaced.
pub(super) fn run(folder: &Path, format: Format) -> Result<(), Failure> {
    let of_run = folder.join("adapter");
    let folder = if of_run.is_dir() { of_run.as_path() } else { folder };
    let config = folder.join("adapter_config.json");
    let text = fs::read_to_string(&config).map_err(|source| ModelError::Io { path: config.clone(), source })?;
    let fields: Value =
        serde_json::from_str(&text).map_err(|source| ModelError::Json { path: config.clone(), source })?;
    let method = &fields["peft_type"];
    // Methods of other crates, which the loader does not have, are none of these.
    if !METHODS.iter().any(|kind| *method == kind.peft_type) {
        let known = METHODS.iter().map(|kind| kind.peft_type).collect::<Vec<_>>().join(", ");
        let config = config.display();
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
        assert!(names.eq(METHODS.iter().map(|kind| kind.peft_type)));
    }

    #[test]
    fn the_loader_knows_every_setting_of_a_method() {
        for kind in METHODS {
            let row = format!("\"{}\": {{", kind.peft_type);
            let own: String = SOURCE.lines().filter(|line| line.contains(&row)).collect();
            for setting in kind.settings {
                let key = format!("\"{}\"", kind.file_key(setting.name));
                assert!(own.contains(&key), "{} has {key}", kind.name);
            }
        }
    }
}
