//! Situations that the program has to tell apart, as data: a folder a case below `tests/faults`, whose README says how
//! one is written. `ADAMOLE_FAULTS` names another folder of cases.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod case;
mod check;
mod edit;
mod run;
mod scene;
mod tensors;

use case::Case;
use libtest_mimic::{Arguments, Trial};
use scene::Scene;
use std::path::{Path, PathBuf};

fn main() {
    let folder = std::env::var_os("ADAMOLE_FAULTS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/faults"), PathBuf::from);
    let mut cases = Vec::new();
    below(&folder, &mut cases);
    cases.sort();
    assert!(!cases.is_empty(), "{}: no case.toml below this folder", folder.display());
    let trial = |case: PathBuf| {
        let name = case.strip_prefix(&folder).unwrap_or(&case).to_string_lossy().into_owned();
        let folder = folder.clone();
        Trial::test(name, move || passes(&folder, &case).map_err(Into::into))
    };
    libtest_mimic::run(&Arguments::from_args(), cases.into_iter().map(trial).collect()).exit();
}

/// The folders that hold a `case.toml`.
fn below(folder: &Path, cases: &mut Vec<PathBuf>) {
    if folder.join("case.toml").exists() {
        cases.push(folder.to_owned());
        return;
    }
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let inner = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    inner.for_each(|inner| below(&inner, cases));
}

/// Runs a case; the error says what was expected and shows what the program wrote.
fn passes(folder: &Path, path: &Path) -> Result<(), String> {
    let case = Case::open(path)?;
    let scene = Scene::new(folder, path, &case).map_err(|error| format!("the case cannot be set up: {error}"))?;
    (1..).zip(&case.runs).try_for_each(|(number, run)| {
        run::holds(&scene, run).map_err(|error| format!("{}\nrun {number}: {error}", case.about))
    })
}
