//! `adamole items` on text of one's own.

use crate::scene::Scene;
use serde_json::Value;

const TALK: &str = r#"{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Who is it?"}, {"role": "user", "content": "Tom"}, {"role": "assistant", "content": "Come in."}]}
"#;

fn scene() -> Scene {
    Scene::new(&[("talk.jsonl", TALK), ("pair.jsonl", "{\"prompt\": \"Tom is\", \"completion\": \" kind.\"}\n")])
}

#[test]
fn what_has_a_loss_is_marked() {
    let scene = scene();
    let marked = |data: &str, more: &[&str]| {
        let (printed, _) = scene.succeeds("items", &[&["--data", data, "--tokens"], more].concat());
        printed
    };
    let plain = ["--chat-template", "plain"];
    assert_eq!(
        marked("talk.jsonl", &plain),
        "talk.jsonl:1\nUser: Hello\nAssistant: Who is it?</s>\nUser: Tom\nAssistant:⟦ Come in.</s>⟧\n\n\n"
    );
    assert_eq!(
        marked("talk.jsonl", &[&plain[..], &["--loss-on", "assistant"]].concat()),
        "talk.jsonl:1\nUser: Hello\nAssistant:⟦ Who is it?</s>⟧\nUser: Tom\nAssistant:⟦ Come in.</s>⟧\n\n\n"
    );
    assert_eq!(marked("pair.jsonl", &[]), "pair.jsonl:1\n<s>Tom is⟦ kind.</s>⟧\n\n");
    assert_eq!(marked("pair.jsonl", &["--loss-on", "all"]), "pair.jsonl:1\n<s>⟦Tom is kind.</s>⟧\n\n");
}

#[test]
fn ids_and_labels_are_printed_as_json() {
    let scene = scene();
    let (printed, talk) = scene.succeeds("items", &["--data", "pair.jsonl", "--tokens", "--format", "json"]);
    let line: Value = serde_json::from_str(&printed).unwrap();
    let ids = line["tokens"]["ids"].as_array().unwrap();
    assert_eq!((&ids[0], &ids[ids.len() - 1]), (&0.into(), &1.into()));
    let [start, end] = [0, 1].map(|at| line["tokens"]["labelled"][0][at].as_u64().unwrap() as usize);
    assert!(0 < start && start < end && end == ids.len(), "{line}");
    assert!(talk.contains("shape completion\nrows: 1\n") && !talk.contains("validation"), "{talk}");
    // Without tokens the rows are shown as they are read, and no chat template is needed.
    let (printed, _) = scene.succeeds("items", &["--data", "talk.jsonl", "--format", "json"]);
    let line: Value = serde_json::from_str(&printed).unwrap();
    assert!(line["text"].as_str().unwrap().contains("Come in.") && line.get("tokens").is_none());
}
