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
