//! The commands in the documentation: they exist with their flags, and those that are marked so run as they stand there.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole_tests::documents::{Page, pages, root, wrong_calls};
use std::{fs, os::unix, path::Path, process::Command};
use tempfile::TempDir;

#[test]
fn every_command_in_the_documentation_exists_with_its_flags() {
    let wrong = wrong_calls(&adamole::program::command(), "adamole");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The blocks `sh,run` of a page run in one shell, in order, in a folder with what a checkout has of data and documents.
#[test]
fn commands_that_need_nothing_run_as_they_stand() {
    let pages: Vec<Page> = pages();
    let with_runs = pages.iter().filter(|page| page.blocks().iter().any(|block| block.kind == "run"));
    let mut ran = 0;
    for page in with_runs {
        run(page);
        ran += 1;
    }
    assert!(ran > 3, "only {ran} pages have blocks that run");
}

fn run(page: &Page) {
    let folder = TempDir::new().unwrap();
    let root = root().canonicalize().unwrap();
    for name in ["datasets", "docs", "crates"] {
        unix::fs::symlink(root.join(name), folder.path().join(name)).unwrap();
    }
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).unwrap();
    unix::fs::symlink(env!("CARGO_BIN_EXE_adamole"), programs.join("adamole")).unwrap();
    let path = std::env::join_paths(
        [programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let blocks = page.blocks();
    let script: String = blocks.iter().filter(|block| block.kind == "run").map(|block| block.text.as_str()).collect();
    let mut shell = Command::new("bash");
    shell.args(["-euxo", "pipefail", "-c", &script]).current_dir(&folder).env("PATH", path.unwrap());
    shell.env("HF_HUB_OFFLINE", "1").env("HF_HOME", folder.path().join("hub"));
    shell.env("XDG_CACHE_HOME", folder.path().join("cache")).stdin(std::process::Stdio::null());
    let output = shell.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let page: &Path = &page.path;
    assert!(
        output.status.success(),
        "{}: {}\n{}\n{}",
        page.display(),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}
