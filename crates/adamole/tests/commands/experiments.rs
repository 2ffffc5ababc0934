//! Studies by the program alone.

use crate::{fails, shown, succeeds};
use std::fs;
use tempfile::TempDir;

#[test]
fn the_papers_cells_are_listed_without_model_data_or_checkout() {
    let results = TempDir::new().unwrap();
    let dry_run = ["experiments", "--preset", "paper", "--seeds", "0", "--dry-run", "--output", &shown(results.path())];
    let cells = succeeds(&[&dry_run[..], &["--table", "3"]].concat());
    assert_eq!(cells.matches("to run").count(), 22, "ten methods and the untuned base on two benchmarks: {cells}");
    assert!(cells.contains("base.copa.adamole-tau-half.0"), "{cells}");
    fails(&[&dry_run[..], &["--table", "9"]].concat(), 2, &["experiment table9 is unknown", "table7"]);
}

#[test]
fn a_table_of_ones_own_is_a_study() {
    let folder = TempDir::new().unwrap();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let quoted = |path: &std::path::Path| format!("{:?}", path.canonicalize().unwrap().display().to_string());
    let preset = format!(
        "title = \"Mine\"\nabout = \"\"\nseeds = [0]\njobs = 1\ngigaflops = 10\n[models.base]\ntitle = \"small\"\n\
         folder = {base}\nshape = {base}\n[left_out]\ngemma = \"\"\nlarger = \"\"\n{left_out}[settings]\nepochs = 1\n\
         warmup_steps = 1\n[families.lora]\n[families.matched]\n[families.experts]\n[benchmarks]\n",
        base = quoted(&source.join("datasets/base")),
        left_out =
            ["commonsense_qa", "cosmos_qa", "social_i_qa", "piqa", "scienceqa", "boolq", "cb", "copa", "rte", "wic"]
                .map(|name| format!("{name} = \"not of this study\"\n"))
                .concat(),
    );
    let table = format!(
        "caption = \"Rates\"\ncolumns = [\"quiz\"]\nrows = [\"lora\"]\nours = [\"majority\", \"untuned\"]\n\
         sweep = {{ setting = \"learning_rate\", values = [1e-4, 1e-3] }}\n[benchmarks.quiz]\ntitle = \"Quiz\"\n\
         file = {file}\n[benchmarks.quiz.portion]\ndata = {data}\n[benchmarks.quiz.portion.settings]\n\
         train_split = \"train[:16]\"\nvalidation_split = \"validation[:8]\"\nreport_split = \"test[:8]\"\n",
        file = quoted(&source.join("crates/adamole-data/benchmarks/copa.toml")),
        data = quoted(&source.join("datasets/copa")),
    );
    fs::create_dir(folder.path().join("tables")).unwrap();
    fs::write(folder.path().join("mine.toml"), preset).unwrap();
    fs::write(folder.path().join("tables/rates.toml"), table).unwrap();
    let [preset, tables, results] = ["mine.toml", "tables", "results"].map(|name| shown(&folder.path().join(name)));
    let study =
        ["experiments", "--preset", &preset, "--experiments", &tables, "--table", "rates", "--output", &results];
    let report = succeeds(&study);
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(report.trim().replace(".md", ".json")).unwrap()).unwrap();
    let tables = report["tables"].as_array().unwrap();
    let rates = tables.iter().find(|table| table["id"] == "rates").unwrap();
    assert_eq!(rates["columns"], serde_json::json!(["learning_rate=0.0001", "learning_rate=0.001"]));
    let lora = rates["rows"].as_array().unwrap().iter().find(|row| row["model"] == "lora").unwrap();
    assert_eq!(lora["ours"], true);
    assert!(lora["cells"].as_array().unwrap().iter().all(|cell| cell["items"] == 8 && cell["mean"].is_f64()), "{lora}");
}

/// Two methods at two rates on one benchmark, with two seeds.
fn comparison(folder: &std::path::Path) -> String {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let quoted = |path: &str| format!("{:?}", source.join(path).display().to_string());
    let preset = format!(
        "title = \"Two methods\"\nabout = \"\"\nseeds = [0, 1]\njobs = 1\ngigaflops = 10\nreference_scoring = false\n\
         [models.base]\ntitle = \"small\"\nfolder = {base}\nshape = {base}\n[settings]\nepochs = 1\nwarmup_steps = 1\n\
         [comparison]\nbenchmarks = [\"copa\"]\nconfounds = [\"**Rank.** Twice as large.\"]\n\
         [comparison.rates]\nvalues = [1e-4, 1e-3]\nbenchmarks = [\"copa\"]\nseed = 7\n\
         [[comparison.groups]]\ntitle = \"Beside LoRA\"\nabout = \"\"\nbaseline = \"lora\"\nmethods = [\"wide\"]\n\
         [comparison.methods.wide]\nmodel = \"wide LoRA\"\nsettings = {{ method = \"lora\", rank = 64 }}\n\
         [benchmarks.copa]\ndata = {data}\n[benchmarks.copa.settings]\ntrain_split = \"train[:16]\"\n\
         validation_split = \"train[16:24]\"\nreport_split = \"test[:8]\"\n",
        base = quoted("datasets/base"),
        data = quoted("datasets/copa"),
    );
    let path = folder.join("two.toml");
    fs::write(&path, preset).unwrap();
    shown(&path)
}

#[test]
fn methods_are_compared_at_the_rates_that_trials_choose() {
    let folder = TempDir::new().unwrap();
    let (preset, results) = (comparison(folder.path()), folder.path().join("results"));
    let study = ["experiments", "--preset", &preset, "--output", &shown(&results)];
    let cells = succeeds(&[&study[..], &["--dry-run"]].concat());
    assert_eq!((cells.matches("to run").count(), cells.matches("waits").count()), (5, 4), "{cells}");
    fails(&[&study[..], &["--seeds", "0,7"]].concat(), 2, &["seed 7 is that of the trials"]);

    succeeds(&study);
    let read = |name: &str| fs::read_to_string(results.join(name)).unwrap();
    let json = |name: &str| serde_json::from_str::<serde_json::Value>(&read(name)).unwrap();
    let report = json("report.json");
    let chosen = |place: usize| report["rates"]["methods"][place]["chosen"].as_f64().unwrap();
    for (method, place) in [("lora", 0), ("wide", 1)] {
        for seed in [0, 1] {
            let cell = json(&format!("cells/base.copa.{method}.{seed}.json"));
            assert_eq!(cell["settings"]["recipe"]["learning_rate"].as_f64().unwrap(), chosen(place), "{method}");
            assert_eq!(cell["result"]["answers"].as_str().unwrap().len(), 8);
            let right = cell["result"]["answers"].as_str().unwrap().matches('1').count();
            assert_eq!(cell["result"]["accuracy"].as_f64().unwrap(), right as f64 / 8.0);
            assert_eq!(cell["result"]["reported_on"], "test[:8]");
        }
        let trial = json(&format!("cells/base.copa.{method}-rate=0.001.7.json"));
        assert_eq!(trial["result"]["reported_on"], "train[16:24]", "no trial sees what is reported");
    }
    let group = &report["groups"][0]["comparisons"][0];
    assert_eq!((&group["method"], &group["seeds"], &group["test"]), (&"wide".into(), &2.into(), &"bootstrap".into()));
    let text = read("report.md");
    for part in [
        "Every cell has been run",
        "not measured",
        "## What has been learned",
        "## Ranking",
        "not distinguishable",
        "- **Rank.** Twice as large.\n- **Rate.**",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // What is done is not done again.
    let cells = succeeds(&[&study[..], &["--dry-run"]].concat());
    assert_eq!(cells.matches(" done ").count(), 9, "{cells}");
    succeeds(&[&study[..], &["--measure"]].concat());
    assert!(!read("report.md").contains("not measured"));
    assert!(json("costs/wide.json")["seconds_per_step"][2].as_f64().unwrap() > 0.0);

    // A benchmark counts in the ranking once a method has learned it.
    for seed in [0, 1] {
        let name = format!("cells/base.copa.wide.{seed}.json");
        let mut cell = json(&name);
        cell["result"]["answers"] = "1".repeat(8).into();
        cell["result"]["accuracy"] = 1.0.into();
        fs::write(results.join(name), cell.to_string()).unwrap();
    }
    succeeds(&[&study[..], &["--report-only"]].concat());
    let report = json("report.json");
    assert_eq!(report["learned"][0]["above"], serde_json::json!(["wide"]));
    assert_eq!(report["ranking"]["methods"][0]["method"], "wide");
    let text = read("report.md");
    assert!(text.contains("| wide LoRA | 100.0 (100.0 to 100.0) | 1 to 1 |") && text.contains("cost.svg"), "{text}");
    assert!(results.join("cost.svg").is_file());
}

#[test]
fn a_comparison_that_would_mislead_is_refused_before_anything_runs() {
    let folder = TempDir::new().unwrap();
    let (path, results) = (comparison(folder.path()), folder.path().join("results"));
    let preset = fs::read_to_string(&path).unwrap();
    let refused = |what: &str, with: &str, parts: &[&str]| {
        assert!(preset.contains(what), "{what}");
        fs::write(&path, preset.replace(what, with)).unwrap();
        fails(&["experiments", "--preset", &path, "--output", &shown(&results)], 2, parts);
        assert!(!results.join("cells").exists() && !results.join("runs").exists());
    };
    let report = "report_split = \"test[:8]\"";
    let overlap = ["base.copa.lora.0: its report_split has items of its validation_split"];
    refused(report, "report_split = \"train[16:24]\"", &overlap);
    refused(report, "report_split = \"train[20:30]\"", &overlap);
    refused(report, "", &["base.copa.lora.0: its settings have no report_split"]);
    refused("[1e-4, 1e-3]", "[]", &["comparison.rates.values is []"]);
    refused(
        "[1e-4, 1e-3]",
        "[1e-3, 1e-3]",
        &["comparison.rates.values is [0.001, 0.001], expected learning rates above 0, each once"],
    );
    refused("[1e-4, 1e-3]", "[1e-3, -1.0]", &["-1.0]"]);
}
