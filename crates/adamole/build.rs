//! Asks git which revision the program is built from, for `--version` and for the record of a run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    let [version, revision, changed] = match fs::read_to_string(".cargo_vcs_info.json") {
        Ok(packaged) => packaged_from(&packaged),
        Err(_) => checked_out(),
    };
    println!("cargo:rustc-env=ADAMOLE_VERSION={version}");
    println!("cargo:rustc-env=ADAMOLE_REVISION={revision}");
    println!("cargo:rustc-env=ADAMOLE_CHANGED={changed}");
}

/// Version, revision and whether there were changes, of a crate from a registry: as cargo recorded them when it packed the crate.
fn packaged_from(record: &str) -> [String; 3] {
    println!("cargo:rerun-if-changed=.cargo_vcs_info.json");
    let commit = record.split('"').skip_while(|text| *text != "sha1").nth(2).unwrap_or_default();
    let revision: String = commit.chars().take(12).collect();
    described(&revision, (!revision.is_empty()).then(|| record.contains("\"dirty\": true")))
}

/// The same of a checkout, by git.
fn checked_out() -> [String; 3] {
    let sources = sources();
    // The logs of HEAD change with every commit and checkout, whatever branch it is on.
    let states = ["HEAD", "logs/HEAD"].map(|file| git(&["rev-parse", "--git-path", file]).map(PathBuf::from));
    let watched = sources.iter().cloned().chain(states.into_iter().flatten());
    // What is not there would count as changed each time.
    for path in watched.filter(|path| path.exists()) {
        println!("cargo:rerun-if-changed={}", path.display());
    }

    let revision = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let files: Vec<&str> = sources.iter().filter_map(|path| path.to_str()).collect();
    let status = git(&[&["--no-optional-locks", "status", "--porcelain", "--"][..], &files].concat());
    let changed = status.filter(|_| !revision.is_empty()).map(|files| !files.is_empty());
    described(&revision, changed)
}

fn described(revision: &str, changed: Option<bool>) -> [String; 3] {
    let version = env!("CARGO_PKG_VERSION");
    let version = match (revision, changed) {
        ("", _) => version.to_owned(),
        (revision, Some(true)) => format!("{version} ({revision}, with changes)"),
        (revision, _) => format!("{version} ({revision})"),
    };
    [version, revision.to_owned(), changed.map(|changed| changed.to_string()).unwrap_or_default()]
}

/// What the program is built from: the crates, without what is beside their code, and the workspace's files.
fn sources() -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let crates: Vec<PathBuf> = entries(Path::new("..")).filter(|path| path.join("Cargo.toml").exists()).collect();
    let of_program = |path: &PathBuf| !["tests", "examples"].iter().any(|beside| path.ends_with(beside));
    let mut sources: Vec<PathBuf> = crates.iter().flat_map(|path| entries(path)).filter(of_program).collect();
    sources.extend(["../../Cargo.toml", "../../Cargo.lock"].map(PathBuf::from));
    sources.retain(|path| path.exists());
    sources.sort();
    sources
}

/// What git prints; `None` where there is no git, or no repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
