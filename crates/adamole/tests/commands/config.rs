//! `adamole config`: the file and the table follow from the declarations of the settings.

use crate::{shipped, shown, succeeds};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// The resolved settings of a run with these flags.
fn resolved(flags: &[&str]) -> Value {
    let shape = shipped();
    let assumed = ["estimate", "--shape", &shape, "--items", "9,9,9", "--tokens", "9", "--format", "json"];
    let report = succeeds(&[&assumed[..], &["--model", "a/model", "--benchmark", "copa"], flags].concat());
    serde_json::from_str::<Value>(&report).unwrap()["config"].clone()
}

#[test]
fn a_printed_configuration_file_is_read_back_and_holds_the_defaults() {
    let folder = TempDir::new().unwrap();
    for flags in [
        &[][..],
        &["--method", "lora"],
        &["--method", "mole"],
        &["--method", "adamole", "--epochs", "3", "--alpha", "0.1"],
        &["--method", "sira", "--compat", "reference"],
        &["--method", "hydralora"],
        &["--method", "ldmole", "--sparsity-loss", "0.5"],
        &["--method", "dynmole", "--entropy-index", "1"],
        &["--method", "remole"],
        &["--method", "comol", "--core-router", "false"],
        &["--method", "flylora", "--variant", "minimal"],
        &["--method", "goat", "--init-type", "goat_mini", "--eta", "1.0"],
        &["--method", "mixlora", "--targets", "q_proj,gate_proj,down_proj"],
        &["--method", "adamole", "--compat", "reference", "--order", "bucketed", "--targets", "q_proj,v_proj"],
    ] {
        let file = succeeds(&[&["config", "init"][..], flags].concat());
        assert!(file.lines().all(|line| line.len() < 120), "{file}");
        // Rules are no values.
        let is_rule = |line: &str| line.starts_with('#') && line.ends_with('=');
        let with_defaults = file.lines().filter(|line| !is_rule(line)).map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        });
        let with_defaults = with_defaults.collect::<Vec<_>>().join("\n");
        assert!(with_defaults.lines().filter(|line| line.contains(" = ")).count() > 25, "{with_defaults}");
        // Defaults are those of one method.
        let with_defaults = if flags.is_empty() { &file } else { &with_defaults };
        for text in [&file, with_defaults] {
            let path = folder.path().join("run.toml");
            fs::write(&path, text).unwrap();
            let mut read = resolved(&["--config", &shown(&path)]);
            let mut given = resolved(flags);
            // The method's own settings are null where they are not given.
            for settings in [&mut read, &mut given] {
                let own = ["capacity_factor", "gate_dropout", "renormalise", "top_k", "top_p"];
                settings.as_object_mut().unwrap().retain(|key, _| !own.contains(&key.as_str()));
            }
            assert_eq!(read, given, "{flags:?}\n{text}");
        }
    }
}

#[test]
fn the_documented_table_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let documented = fs::read_to_string(&path).unwrap();
    let start = documented.find("## ").unwrap();
    let table = succeeds(&["config", "list"]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, documented[..start].to_owned() + &table).unwrap();
        return;
    }
    assert!(documented[start..] == table, "docs/settings.md is out of date: run this test with UPDATE_DOCS=1");
}

/// Results of long runs are identified by a hash of this text.
#[test]
fn the_settings_of_a_run_are_recorded_as_they_always_were() {
    let recorded = include_str!("resolved_settings.txt").replace("VERSION", env!("CARGO_PKG_VERSION"));
    let recorded: Vec<&str> = recorded.lines().collect();
    let shape = shipped();
    let assumed = ["estimate", "--shape", &shape, "--items", "9,9,9", "--tokens", "9", "--format", "json"];
    for case in recorded.chunks(2) {
        let flags: Vec<&str> = case[0].split_whitespace().collect();
        let report = succeeds(&[&assumed[..], &["--model", "a/model", "--benchmark", "copa"], &flags].concat());
        let (config, _) = report.strip_prefix("{\"config\":").unwrap().split_once(",\"fingerprint\":").unwrap();
        assert_eq!(config, case[1], "{flags:?}");
    }
    // A setting of later versions is there only where it is another than the default.
    let lora = |flags: &[&str]| resolved(&[&["--method", "lora"], flags].concat());
    assert_eq!(lora(&["--use-rslora", "false"]), lora(&[]));
    assert_eq!(lora(&["--use-rslora", "true"])["use_rslora"], true);
    assert_eq!(lora(&["--loraplus-lr-ratio", "16"])["recipe"]["loraplus_lr_ratio"], 16.0);
}
