//! `adamole completions` and `adamole man`.

use crate::{fails, shown, succeeds};
use std::{collections::BTreeSet, fs};
use tempfile::TempDir;

#[test]
fn completions_have_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = succeeds(&["completions", shell]);
        for word in ["evaluate", "batch-size", "mixlora", "tensorboard"] {
            assert!(script.contains(word), "{shell} has no {word}");
        }
    }
    fails(&["completions", "tcsh"], 2, &["possible values: bash"]);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man1");
    let said = succeeds(&["man", &shown(&pages)]);
    let names: BTreeSet<String> =
        fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(said.split_whitespace().next().unwrap(), names.len().to_string());
    for name in ["adamole.1", "adamole-train.1", "adamole-config-show.1", "adamole-bench-step.1"] {
        assert!(names.contains(name), "{names:?}");
    }
    let train = fs::read_to_string(pages.join("adamole-train.1")).unwrap();
    assert!(train.contains("balance\\-coefficient") && train.contains("Examples"), "{train}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    fails(&["man", &shown(&file)], 1, &["file"]);
}
