//! `adamole config`: the file and the table follow from the declarations of the settings.

use crate::{fails, shipped, shown, succeeds};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};
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

/// The settings of a run as `config show` gives them, by name.
fn shown_settings(arguments: &[&str]) -> BTreeMap<String, Value> {
    let list = succeeds(&[&["config", "show", "--format", "json"][..], arguments].concat());
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    list.into_iter().map(|it| (it["name"].as_str().unwrap().to_owned(), it)).collect()
}

#[test]
fn every_setting_of_a_run_is_shown_with_its_origin() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("run.toml");
    fs::write(&path, "# A run.\nepochs = 3\nmodel = \"a/model\"\n\nbenchmark = \"copa\"\n").unwrap();
    let path = shown(&path);
    let run = ["--config", &path, "--seed", "7", "--compat", "reference", "--labels", "answer", "--alpha", "0.1"];
    let settings = shown_settings(&run);
    for (name, value, origin) in [
        ("epochs", json!(3), format!("{path}:2")),
        ("benchmark", json!("copa"), format!("{path}:5")),
        ("seed", json!(7), "flag".into()),
        ("alpha", json!(0.1), "flag".into()),
        ("labels", json!("answer"), "flag".into()),
        ("padding", json!("left"), "--compat reference".into()),
        ("batch_size", json!(16), "default".into()),
        ("output", json!("runs/copa-adamole-7"), "default".into()),
        ("tau_max", Value::Null, "default".into()),
    ] {
        let it = &settings[name];
        assert_eq!((&it["value"], it["origin"].as_str()), (&value, Some(origin.as_str())), "{name}: {it}");
    }
    assert_eq!(settings["tau_max"]["rule"], "1 / num_experts");
    // Neither another method's nor those of text of one's own.
    assert!(!settings.contains_key("top_k") && !settings.contains_key("loss_on"));
    // What is printed is a configuration file of the same run.
    let file = succeeds(&[&["config", "show"][..], &run].concat());
    let again = folder.path().join("again.toml");
    fs::write(&again, &file).unwrap();
    assert_eq!(resolved(&["--config", &shown(&again)]), resolved(&run), "{file}");
    assert!(file.contains("# tau_max: 1 / num_experts") && file.contains("# ---- Training ----"), "{file}");
}

#[test]
fn text_of_ones_own_has_defaults_of_its_own() {
    let settings = shown_settings(&["--model", "a/model", "--data", "a.jsonl"]);
    let of = |name: &str| (settings[name]["value"].clone(), settings[name]["origin"].as_str().unwrap().to_owned());
    assert_eq!(of("max_tokens"), (json!(2048), "default for text of one's own".into()));
    assert_eq!(of("loss_on"), (json!("completion"), "default".into()));
    assert_eq!(settings["warmup_steps"]["rule"], "a tenth of the run's steps, at most 200");
    assert!(!settings.contains_key("labels") && !settings.contains_key("benchmark"));
}

#[test]
fn the_settings_of_a_run_directory_are_shown_as_such() {
    let folder = TempDir::new().unwrap();
    let (run, data) = (shown(&folder.path().join("run")), format!("{}/../copa", shipped()));
    let limits = ["--limit-train", "8", "--limit-validation", "4", "--epochs", "1", "--output", &run];
    let train = ["train", "--model", &shipped(), "--benchmark", "copa", "--data", &data, "--method", "lora"];
    succeeds(&[&train[..], &limits].concat());
    let settings = shown_settings(&["--resume", &run, "--workers", "1"]);
    let origin = |name: &str| settings[name]["origin"].as_str().unwrap();
    assert_eq!((origin("method"), origin("limit_train")), ("settings.json of the run", "settings.json of the run"));
    assert_eq!((origin("workers"), origin("rank")), ("flag", "default"));
    assert_eq!(settings["output"]["value"], run.as_str());
    fails(&["config", "show", "--resume", &run, "--epochs", "2"], 2, &["epochs: 1 -> 2"]);
}

#[test]
fn a_run_that_cannot_be_is_not_shown() {
    fails(&["config", "show", "--benchmark", "copa"], 2, &["model is needed", "--model"]);
    fails(&["config", "show", "--model", "m", "--benchmark", "copa", "--top-k", "1"], 2, &["`top_k` is not valid"]);
    fails(&["config", "show", "--resume", "/nowhere"], 1, &["/nowhere", "--resume takes a run directory"]);
}

#[test]
fn the_schema_has_every_setting_with_its_help_and_values() {
    let schema: Value = serde_json::from_str(&succeeds(&["config", "schema"])).unwrap();
    let settings: Vec<Value> = serde_json::from_str(&succeeds(&["config", "list", "--format", "json"])).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), settings.len());
    assert_eq!((&schema["additionalProperties"], &schema["type"]), (&json!(false), &json!("object")));
    for setting in &settings {
        let property = &properties[setting["name"].as_str().unwrap()];
        let help = setting["help"].as_str().unwrap();
        assert!(property["description"].as_str().unwrap().starts_with(help), "{setting}: {property}");
    }
    for (name, key, value) in [
        ("epochs", "type", json!("integer")),
        ("epochs", "default", json!(10)),
        ("learning_rate", "type", json!("number")),
        ("checkpoint_blocks", "type", json!("boolean")),
        ("loss_on", "enum", json!(["completion", "assistant", "all"])),
        ("targets", "type", json!("array")),
        // It depends on the method.
        ("targets", "default", Value::Null),
        ("model", "default", Value::Null),
        ("top_k", "default", Value::Null),
    ] {
        assert_eq!(properties[name].get(key).unwrap_or(&Value::Null), &value, "{name}: {}", properties[name]);
    }
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("run.toml");
    fs::write(&path, "model = \"a\"\nbacth_size = 3\n").unwrap();
    fails(&["config", "show", "--config", &shown(&path)], 2, &["run.toml:2:1", "bacth_size", "batch_size"]);
    let benchmark = folder.path().join("own.toml");
    fs::write(&benchmark, "name = \"own\"\npromt = \"\"\n").unwrap();
    fails(&["items", "--benchmark", &shown(&benchmark)], 2, &["promt", "did you mean `prompt`?"]);
    let fields = folder.path().join("fields.toml");
    fs::write(&fields, "[fields]\nprommpt = \"q\"\n").unwrap();
    let data = folder.path().join("data.jsonl");
    fs::write(&data, "{\"q\":\"a\",\"completion\":\"b\"}\n").unwrap();
    let arguments = ["items", "--data", &shown(&data), "--text-fields", &shown(&fields)];
    fails(&arguments, 1, &["fields.prommpt", "did you mean `prompt`?"]);
    let preset = folder.path().join("preset.toml");
    fs::write(&preset, "titel = \"mine\"\n").unwrap();
    fails(&["experiments", "--preset", &shown(&preset), "--dry-run"], 2, &["titel", "did you mean `title`?"]);
}

#[test]
fn wrong_names_come_with_what_was_meant() {
    let folder = TempDir::new().unwrap();
    let (base, data) = (shipped(), format!("{}/../copa", shipped()));
    let train = |more: &[&str], code, parts: &[&str]| {
        fails(&[&["train", "--model", &base][..], more].concat(), code, parts);
    };
    let of_text = format!("{base}/../text/requests");
    train(&["--benchmark", "copa", "--data", &of_text], 1, &["rows of text of your own: leave --benchmark out"]);
    train(&["--data", &of_text, "--top-k", "2"], 2, &["setting of --method mole, sira"]);
    let notes = shown(&folder.path().join("notes.txt"));
    train(&["--data", &notes], 2, &["notes.txt was not found"]);
    fs::write(&notes, "A note.").unwrap();
    train(&["--data", &notes], 1, &["notes.txt: expected a name that ends in", "JSON Lines"]);
    let evaluate = ["evaluate", "--model", &base, "--benchmark", "copa", "--data", &data];
    fails(&[&evaluate[..], &["--adapter", &base]].concat(), 1, &["this is a model: give it to --model"]);
    fails(&[&evaluate[..], &["--adapter", &data]].concat(), 1, &["an adapter is a run directory"]);
    let estimate = ["estimate", "--items", "1,1,1", "--tokens", "5", "--model", "m", "--benchmark", "copa"];
    fails(&[&estimate[..], &["--shape", "llama-2-7"]].concat(), 2, &["did you mean llama-2-7b?"]);
    fails(&["experiments", "--preset", "smolm2", "--dry-run"], 2, &["did you mean `smollm2`?"]);
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
