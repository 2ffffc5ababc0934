//! What is refused, and the remedy that is named.

use crate::scene::{Scene, requests};

#[test]
fn conversations_need_a_chat_template() {
    let scene = Scene::new(&[("rows.jsonl", &requests("train", 8))]);
    let remedy = ["base has no chat template", "--chat-template FILE", "chatml, alpaca, plain"];
    for (command, more) in [("train", &["--output", "run"][..]), ("items", &["--tokens"]), ("evaluate", &[])] {
        scene.fails(command, &[&["--data", "rows.jsonl"], more].concat(), 2, &remedy);
    }
    assert!(!scene.path("run").exists(), "a failed start leaves nothing behind");
}

#[test]
fn settings_of_benchmarks_and_of_text_exclude_each_other() {
    let scene = Scene::new(&[("rows.jsonl", &requests("train", 8))]);
    for (name, value) in [
        ("labels", "text"),
        ("train-split", "train[:5]"),
        ("report-split", "test"),
        ("scoring", "reference"),
        ("truncation", "right"),
        ("padding", "left"),
        ("compat", "reference"),
    ] {
        let setting = format!("{} is a setting of benchmarks", name.replace('-', "_"));
        scene.fails("train", &["--data", "rows.jsonl", &format!("--{name}"), value], 2, &[&setting]);
    }
    for (name, value) in [
        ("loss-on", "all"),
        ("chat-template", "plain"),
        ("validation-share", "0.2"),
        ("validation-data", "rows.jsonl"),
        ("text-fields", "names.toml"),
    ] {
        let setting = format!("{} is a setting of text of one's own", name.replace('-', "_"));
        scene.fails("train", &["--benchmark", "copa", &format!("--{name}"), value], 2, &[&setting]);
    }
    scene.fails("train", &[], 2, &["--benchmark NAME is needed, or --data FILE"]);
    scene.fails("evaluate", &["--data", "rows.jsonl", "--predictions", "x"], 2, &["--predictions is for benchmarks"]);
    // Rows for validation are a matter of training; elsewhere all rows of a file are read.
    scene.fails("items", &["--data", "rows.jsonl", "--validation-share", "0.5"], 2, &["--validation-share"]);
}

#[test]
fn rows_that_cannot_be_learned_from_are_refused_with_their_place() {
    let row = r#"{"prompt": "a", "completion": "b"}"#;
    let scene = Scene::new(&[
        ("mixed.jsonl", &format!("{row}\n{{\"text\": \"c\"}}\n")),
        ("unknown.jsonl", "{\"question\": \"a\", \"answer\": \"b\"}\n"),
        ("unanswered.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n"),
        ("one.jsonl", &format!("{row}\n")),
        ("rows.jsonl", &requests("train", 12)),
        ("names.toml", "shape = \"completion\"\n[fields]\nprompt = \"question\"\n"),
    ]);
    for (data, more, code, parts) in [
        (
            "mixed.jsonl",
            &[][..],
            1,
            &["mixed.jsonl:2", "text", "completion", "hint: give each shape files of its own"][..],
        ),
        ("unknown.jsonl", &[], 1, &["unknown.jsonl:1", "the row has: answer, question", "[fields] prompt = "]),
        ("unknown.jsonl", &["--text-fields", "names.toml"], 1, &["unknown.jsonl:1", "completion"]),
        ("unanswered.jsonl", &[], 1, &["unanswered.jsonl:1", "a message of the role assistant"]),
        ("one.jsonl", &[], 1, &["hint: give more rows, or rows for validation of their own"]),
        ("nowhere.jsonl", &[], 2, &["nowhere.jsonl was not found: there is no such file"]),
        ("rows.jsonl", &["--validation-share", "1.5"], 1, &["1.5"]),
        ("rows.jsonl", &["--validation-share", "0.5", "--validation-data", "one.jsonl"], 2, &["exclude each other"]),
        ("rows.jsonl", &["--chat-template", "chatml", "--max-tokens", "12"], 2, &["none has a label within 12 tokens"]),
        ("rows.jsonl", &["--chat-template", "no.jinja"], 2, &["no.jinja", "chatml, alpaca, plain"]),
    ] {
        scene.fails("train", &[&["--data", data, "--output", "run"], more].concat(), code, parts);
        assert!(!scene.path("run").exists(), "{data}: a failed start leaves nothing behind");
    }
}

#[test]
fn rows_that_are_cut_or_left_out_are_counted() {
    let long = "a long request ".repeat(40);
    let rows: String =
        (0..10).map(|row| format!("{{\"prompt\": \"{row} + 1 =\", \"completion\": \" {}\"}}\n", row + 1)).collect();
    let rows = format!(
        "{rows}{{\"prompt\": \"{long}\", \"completion\": \" b\"}}\n{{\"prompt\": \"c\", \"completion\": \" {long}\"}}\n\
         {{\"prompt\": \"d\", \"completion\": \"\"}}\n{{\"prompt\": \"one \", \"completion\": \"two\"}}\n"
    );
    let scene = Scene::new(&[("rows.jsonl", &rows)]);
    let (report, talk) =
        scene.train("run", &["--data", "rows.jsonl", "--max-tokens", "64", "--validation-share", "0.2"]);
    assert!(talk.contains("left out: 1 row with nothing to learn"), "{talk}");
    assert!(talk.contains("warning: 1 rows have no label within 64 tokens and are left out"), "{talk}");
    assert!(talk.contains("warning: 2 rows are truncated to 64 tokens"), "{talk}");
    assert!(talk.contains("one token spans the end of the prompt"), "{talk}");
    assert_eq!((&report["dropped_texts"], &report["truncated_texts"]), (&1.into(), &2.into()));
}
