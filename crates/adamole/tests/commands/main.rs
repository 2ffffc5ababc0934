//! Commands seen from outside: what they print and what they write.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bench;
mod chat;
mod config;
mod estimate;
mod experiments;
mod generate;
mod inspect;
mod items;
mod metrics;
#[cfg(target_os = "linux")]
mod output;
mod shell;
mod template;
mod trace;
mod train;

use std::{path::Path, process::Command};

fn adamole(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
    program.env("HF_HUB_OFFLINE", "1").env("HF_HOME", "/nonexistent").args(arguments);
    if !arguments.contains(&"--token-cache") && ["train", "evaluate", "estimate", "items"].contains(&arguments[0]) {
        program.args(["--token-cache", "off"]);
    }
    let output = program.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = adamole(arguments);
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

#[track_caller]
fn fails(arguments: &[&str], code: i32, parts: &[&str]) {
    let (found, stdout, stderr) = adamole(arguments);
    assert_eq!(found, Some(code), "{stderr}");
    assert!(stdout.is_empty() && !stderr.contains("panicked"), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The shipped base, which has a tokenizer.
fn shipped() -> String {
    shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base"))
}
