//! Every shape of rows trains, and is reported.

use crate::scene::{Scene, requests};
use serde_json::{Value, json};

/// Requests with their commands.
fn pairs(rows: usize) -> Vec<(String, String)> {
    let text = |row: &Value, at: usize| row["messages"][at]["content"].as_str().unwrap().to_owned();
    let rows: Vec<Value> = requests("train", rows).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows.iter().map(|row| (text(row, 0), text(row, 1))).collect()
}

/// A row for each pair, one a line.
fn lines(row: impl Fn(&str, &str) -> Value) -> String {
    pairs(40).iter().map(|(request, command)| row(request, command).to_string() + "\n").collect()
}

/// Trains on 36 rows of one file and checks its report; four are drawn for validation.
#[track_caller]
fn trains(shape: &str, name: &str, rows: &str, more: &[&str]) {
    let scene =
        Scene::new(&[(name, rows), ("names.toml", "[fields]\nprompt = \"request\"\ncompletion = \"command\"\n")]);
    let (report, talk) = scene.train("run", &[&["--data", name], more].concat());
    assert!(talk.contains(&format!("shape {shape}")), "{talk}");
    assert!(talk.contains("validation: 4 rows, drawn from the training files"), "{talk}");
    assert_eq!((&report["train_texts"], &report["validation_texts"]), (&36.into(), &4.into()));
    assert_eq!((&report["truncated_texts"], &report["dropped_texts"]), (&0.into(), &0.into()));
    assert_eq!((&report["data"], &report["accuracy"]), (&"rows".into(), &Value::Null));
    let number = |key: &str| report[key].as_f64().unwrap();
    assert!(number("validation_loss") < number("validation_loss_before"), "{report}");
    for [loss, perplexity] in [["validation_loss", "perplexity"], ["validation_loss_before", "perplexity_before"]] {
        assert!((number(loss).exp() / number(perplexity) - 1.0).abs() < 1e-9, "{report}");
    }
    assert!(number("validation_labels") > 40.0, "{report}");
    let epochs = scene.metrics("run", "epoch");
    assert_eq!((epochs.len(), &epochs[0]["validation_loss"]), (3, &report["validation_loss_before"]));
}

#[test]
fn conversations_train() {
    let rows = lines(
        |user, assistant| json!({"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]}),
    );
    trains("conversation", "rows.jsonl", &rows, &["--chat-template", "chatml"]);
}

#[test]
fn prompts_with_completions_train() {
    let rows = lines(|prompt, completion| json!({"prompt": prompt, "completion": format!(" {completion}")}));
    trains("completion", "rows.jsonl", &rows, &[]);
}

#[test]
fn lists_of_messages_as_prompts_and_completions_train() {
    let rows = lines(
        |user, assistant| json!({"prompt": [{"role": "user", "content": user}], "completion": [{"role": "assistant", "content": assistant}]}),
    );
    trains("conversational-completion", "rows.jsonl", &rows, &["--chat-template", "plain"]);
}

#[test]
fn texts_train() {
    let rows = lines(|request, command| json!({"text": format!("{request}\n{command}")}));
    trains("text", "rows.jsonl", &rows, &["--method", "adamole"]);
}

#[test]
fn conversations_of_share_gpt_train() {
    let rows = lines(
        |human, gpt| json!({"conversations": [{"from": "human", "value": human}, {"from": "gpt", "value": gpt}]}),
    );
    trains("sharegpt", "rows.jsonl", &rows, &["--chat-template", "chatml"]);
}

#[test]
fn instructions_train() {
    let rows = lines(|instruction, output| json!({"instruction": instruction, "input": "", "output": output}));
    trains("alpaca", "rows.jsonl", &rows, &["--chat-template", "alpaca"]);
}

#[test]
fn a_table_with_other_names_trains() {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut rows = "request,command\n".to_owned();
    for (request, command) in pairs(40) {
        rows += &format!("{},{}\n", quoted(&request), quoted(&command));
    }
    trains("completion", "rows.csv", &rows, &["--text-fields", "names.toml"]);
}

#[test]
fn the_configuration_for_commonsense_instructions_trains() {
    let rows = lines(|instruction, output| json!({"instruction": instruction, "input": "", "output": output}));
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/commonsense.toml");
    let scene = Scene::new(&[("rows.jsonl", &rows)]);
    let few = ["--data", "rows.jsonl", "--epochs", "1", "--warmup-steps", "1", "--output", "run"];
    scene.succeeds("train", &[&["--config", config.to_str().unwrap()], &few[..]].concat());
    let used: Value = serde_json::from_slice(&std::fs::read(scene.path("run/config.json")).unwrap()).unwrap();
    assert_eq!((&used["loss_on"], &used["origins"]["rank"]), (&"all".into(), &"file".into()));
}
