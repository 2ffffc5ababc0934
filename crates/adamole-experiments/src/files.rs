//! The TOML files of experiments: those that are embedded in the program, and others.

use crate::{ExperimentError, experiment::Experiment};
use include_dir::{Dir, include_dir};
use serde::de::DeserializeOwned;
use std::{fs, path::Path};
use toml::Table;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/experiments");

/// The text of an embedded file; `None` if there is none of this name.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    EMBEDDED.get_file(name)?.contents_utf8()
}

/// The names, without `.toml`, of the embedded files in a folder.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let files = EMBEDDED.get_dir(folder).map(|dir| dir.files().collect::<Vec<_>>()).unwrap_or_default();
    let toml = files.into_iter().filter(|file| file.path().extension().is_some_and(|extension| extension == "toml"));
    toml.filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned())).collect()
}

/// The tables and figures in a folder.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<Experiment>, ExperimentError> {
    let mut experiments = Vec::new();
    for file in fs::read_dir(folder).map_err(ExperimentError::io(folder))?.flatten() {
        let path = file.path();
        let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        // The TOML file of a custom benchmark may be in the same folder.
        if path.extension().is_some_and(|extension| extension == "toml") && is_experiment(&path)? {
            let read: Experiment = read(&path)?;
            experiments.push(Experiment { id, folder: folder.to_owned(), ..read }.with_sweep());
        }
    }
    Ok(experiments)
}

/// Whether a file has the keys that every table and figure has.
fn is_experiment(path: &Path) -> Result<bool, ExperimentError> {
    let table: Table = read(path)?;
    Ok(["caption", "columns", "rows"].iter().any(|key| table.contains_key(*key)))
}

/// The position of an experiment in reports: tables before figures before others, by number.
pub(crate) fn order(id: &str) -> (usize, u32, String) {
    let kind = id.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let place = ["table", "figure"].iter().position(|known| *known == kind).unwrap_or(2);
    (place, id[kind.len()..].parse().unwrap_or(0), id.to_owned())
}

/// A TOML file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ExperimentError> {
    let text = fs::read_to_string(path).map_err(ExperimentError::io(path))?;
    parse(&path.display().to_string(), &text)
}

/// An embedded file, as in `presets/tiny.toml`.
pub(crate) fn embedded<T: DeserializeOwned>(name: &str) -> Result<T, ExperimentError> {
    parse(name, text(name).unwrap_or_default())
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ExperimentError> {
    toml::from_str(text).map_err(|source| ExperimentError::Toml { file: file.to_owned(), source: Box::new(source) })
}
