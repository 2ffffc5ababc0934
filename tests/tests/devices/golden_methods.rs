//! Adapted linears of later methods against the code of the methods' authors: outputs, routing, auxiliary losses and every
//! gradient. `golden/methods/README.md` describes the cases.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod blocks;
mod compare;
mod methods;
mod sites;

use adamole_tests::{Case, golden};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// The folders of all cases, below one for each method.
fn cases() -> Vec<PathBuf> {
    let root = std::env::var_os("ADAMOLE_GOLDEN_METHODS").map_or_else(|| golden("methods"), PathBuf::from);
    let folders = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    };
    let mut cases: Vec<PathBuf> = folders(&root).iter().flat_map(|method| folders(method)).collect();
    cases.sort();
    cases
}

#[test]
fn methods_equal_the_code_of_their_authors() {
    let cases = cases();
    assert!(!cases.is_empty());
    let fails =
        |folder: &&PathBuf| catch_unwind(AssertUnwindSafe(|| methods::check(&Case::at(folder.to_path_buf())))).is_err();
    let failed: Vec<_> = cases.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), cases.len());
}
