//! `adamole generate` and `adamole export`.

use crate::{fails, shipped, shown, succeeds};
use adamole_tests::{Case, golden};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const PROMPT: &str = "To drive a nail, take the";

/// A chat template that writes contents one after the other.
fn template(folder: &TempDir) -> String {
    let path = folder.path().join("own.jinja");
    let source = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}\
                  {% endfor %}";
    std::fs::write(&path, source).unwrap();
    shown(&path)
}

fn generated(arguments: &[&str]) -> String {
    let model = shipped();
    succeeds(&[&["generate", "--model", &model, "--max-new-tokens", "8"], arguments].concat())
}

fn report(arguments: &[&str]) -> Value {
    serde_json::from_str(&generated(&[arguments, &["--format", "json"]].concat())).unwrap()
}

#[test]
fn text_is_continued_the_same_way_each_time() {
    let run = |more: &[&str]| generated(&[&["--prompt", PROMPT], more].concat());
    let greedy = run(&[]);
    assert!(greedy.starts_with(&format!("{PROMPT} hammer")), "{greedy}");
    assert_eq!(run(&["--temperature", "0"]), greedy);
    let drawn = |seed| run(&["--temperature", "2", "--seed", seed]);
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    for one_token in [["--top-p", "0.0001"], ["--top-k", "1"], ["--min-p", "1"]] {
        let left = run(&[&["--temperature", "2"], &one_token[..]].concat());
        assert_eq!(left, greedy, "{one_token:?} leaves one token to draw from");
    }
    assert_ne!(run(&["--repetition-penalty", "5"]), greedy);
    let report = report(&["--prompt", PROMPT]);
    assert_eq!(format!("{PROMPT}{}\n", report["text"].as_str().unwrap()), greedy);
    assert!(report["tokens"] == 8 && report["finish"] == "length" && report["tokens_per_second"].is_number());
}

#[test]
fn a_text_ends_before_a_stop_string() {
    let report = report(&["--prompt", PROMPT, "--stop", "nowhere", "--stop", "mmer"]);
    assert_eq!((report["text"].as_str(), report["finish"].as_str()), (Some(" ha"), Some("stop")));
    assert_eq!(generated(&["--prompt", PROMPT, "--stop", "mmer"]), format!("{PROMPT} ha\n"));
}

#[test]
fn bad_sampling_is_named() {
    let fails = |more: &[&str], part: &str| {
        fails(&[&["generate", "--model", "/nowhere", "--prompt", PROMPT], more].concat(), 2, &[part]);
    };
    fails(&["--temperature", "-1"], "temperature is -1, expected a finite number above 0");
    fails(&["--temperature", "1", "--top-k", "0"], "top_k is 0, expected an integer of at least 1");
    fails(&["--temperature", "1", "--top-p", "1.5"], "top_p is 1.5");
    fails(&["--temperature", "1", "--min-p", "-1"], "min_p is -1");
    fails(&["--repetition-penalty", "0"], "repetition_penalty is 0");
    fails(&["--stop", ""], "stop is an empty string");
    // Without a temperature they would change nothing.
    fails(&["--top-k", "3"], "--temperature");
    fails(&["--chat-template", "plain"], "--prompt is raw text");
    fails(&["--message", "a"], "cannot be used with");
}

#[test]
fn a_message_is_answered_by_the_chat_template() {
    let folder = TempDir::new().unwrap();
    let template = template(&folder);
    let text = generated(&["--message", &PROMPT[5..], "--system", "To dr", "--chat-template", &template]);
    assert_eq!(text, generated(&["--prompt", PROMPT])[PROMPT.len()..], "the answer alone");
    let base = shipped();
    fails(
        &["generate", "--model", &base, "--message", "a"],
        2,
        &["has no chat template", "give --chat-template FILE, or one of the built-in ones: chatml, alpaca, plain"],
    );
}

/// Writes rows, and gives the arguments for them.
fn rows(folder: &TempDir, lines: &[&str]) -> (PathBuf, String) {
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    (path.clone(), shown(&path))
}

#[test]
fn the_rows_of_a_file_are_continued_in_their_order() {
    let folder = TempDir::new().unwrap();
    let template = template(&folder);
    let asked = json!({"z": [1, 2.5, null], "messages": [
        {"role": "user", "content": PROMPT}, {"role": "assistant", "content": "this answer is not read"}]});
    let first = json!({"prompt": PROMPT, "completion": " neither is this", "id": 7}).to_string();
    let others = ["", r#"{"prompt": "A"}"#, &asked.to_string(), r#"{"prompt": "The rope was cut. What was"}"#];
    let (_, input) = rows(&folder, &[&[first.as_str()], &others[..]].concat());
    let output = shown(&folder.path().join("out.jsonl"));
    let run = |more: &[&str]| -> Vec<Value> {
        let arguments = ["--input", &input, "--chat-template", &template];
        let lines = generated(&[&arguments[..], more].concat());
        let text = match more.contains(&"--output") {
            true => std::fs::read_to_string(&output).unwrap(),
            false => lines,
        };
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let greedy = run(&["--output", &output]);
    let alone = report(&["--prompt", PROMPT]);
    assert_eq!(greedy.len(), 4);
    assert_eq!(
        greedy[0],
        json!({"prompt": PROMPT, "completion": " neither is this", "id": 7, "generated": alone["text"],
            "tokens": 8, "finish": "length"})
    );
    assert_eq!((&greedy[1]["prompt"], &greedy[2]["z"]), (&json!("A"), &asked["z"]));
    assert_eq!(greedy[2]["messages"], asked["messages"]);
    assert_eq!(greedy[2]["generated"], alone["text"], "an answer at the end is not read");
    // Neither the batch nor the other rows change a row, drawn or not.
    for sampling in [&[][..], &["--temperature", "1.5"]] {
        let one_by_one = run(&[sampling, &["--batch-size", "1"]].concat());
        assert_eq!(run(&[sampling, &["--batch-size", "3"]].concat()), one_by_one);
    }
    let model = shipped();
    let again = ["generate", "--model", &model, "--input", &input, "--output", &output, "--chat-template", &template];
    fails(&again, 2, &["out.jsonl", "exists", "choose another --output"]);
}

#[test]
fn a_bad_row_is_named_before_anything_is_generated() {
    let folder = TempDir::new().unwrap();
    let output = shown(&folder.path().join("out.jsonl"));
    for (line, message) in [
        ("{", "rows.jsonl:3: EOF while parsing"),
        ("[]", "rows.jsonl:3: an array, expected an object"),
        ("{}", "rows.jsonl:3: neither `prompt` nor `messages`"),
        (r#"{"prompt": 1}"#, "rows.jsonl:3: `prompt` is a number, expected a string"),
        (r#"{"prompt": "a", "messages": []}"#, "rows.jsonl:3: both `prompt` and `messages`"),
        (r#"{"messages": [{"content": "a"}]}"#, "rows.jsonl:3: `messages[0]` has no `role`"),
        (r#"{"messages": [{"role": "tool", "content": "a"}]}"#, "rows.jsonl:3: the chat template refuses"),
    ] {
        let (_, input) = rows(&folder, &[r#"{"prompt": "a"}"#, "", line]);
        let model = shipped();
        let arguments = ["generate", "--model", &model, "--chat-template", "plain", "--input", &input];
        fails(&[&arguments[..], &["--output", &output]].concat(), 1, &[message]);
        assert!(!Path::new(&output).exists());
    }
    let (_, input) = rows(&folder, &["", ""]);
    fails(&["generate", "--model", "/nowhere", "--input", &input], 2, &["has no rows"]);
    for only in ["--output", "--batch-size", "--system"] {
        fails(&["generate", "--model", "/nowhere", "--prompt", "a", only, "1"], 2, &[only, "cannot be used with"]);
    }
}

#[test]
fn a_mixture_is_not_merged_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let output = shown(&folder.path().join("merged"));
    let case = Case::open("llama_gqa__ada_1");
    let (model, adapter) = (shown(&golden("bases/llama_gqa_s11")), shown(&case.folder));
    let arguments = ["export", "--model", &model, "--adapter", &adapter, "--merge", "--output", &output];
    fails(&arguments, 1, &["model.layers.0.self_attn.q_proj", "has a mixture of experts", "depends on the token"]);
    assert!(!Path::new(&output).exists());
}

#[test]
fn a_gguf_file_has_a_modelfile_beside_it_and_neither_is_replaced() {
    let folder = TempDir::new().unwrap();
    let (model, file) = (shipped(), shown(&folder.path().join("tiny.gguf")));
    let arguments = ["export", "--model", &model, "--gguf", &file, "--gguf-type", "q8_0", "--format", "json"];
    let report: Value = serde_json::from_str(&succeeds(&arguments)).unwrap();
    assert_eq!([&report["content"], &report["gguf_type"]], ["model", "q8_0"]);
    let modelfile = fs::read_to_string(folder.path().join("tiny.Modelfile")).unwrap();
    assert!(
        modelfile.starts_with("FROM ./tiny.gguf\nTEMPLATE \"\"\"{{ .Prompt }}\"\"\"\nPARAMETER stop"),
        "{modelfile}"
    );
    fails(&arguments, 2, &["tiny.gguf exists"]);
    fails(&["export", "--model", &model, "--gguf", &file, "--gguf-type", "q2_k"], 2, &["f32, f16, bf16, q8_0"]);
    fails(&["export", "--model", &model], 2, &["--output", "--gguf", "--python"]);
}

#[test]
fn the_loader_in_python_is_added_to_an_adapter() {
    let folder = TempDir::new().unwrap();
    let adapter = shown(folder.path());
    fails(&["export", "--python", &adapter], 1, &["adapter_config.json"]);
    let case = Case::open("llama_gqa__ada_1");
    fs::copy(case.folder.join("adapter_config.json"), folder.path().join("adapter_config.json")).unwrap();
    succeeds(&["export", "--python", &adapter]);
    fs::write(folder.path().join("adapter_config.json"), "{\"peft_type\": \"IA3\"}").unwrap();
    fails(&["export", "--python", &adapter], 2, &["peft_type is \"IA3\"", "LORA, MOLE, ADAMOLE, SIRA"]);
    let source = fs::read_to_string(folder.path().join("adamole_adapter.py")).unwrap();
    assert!(source.contains("def load(model, folder):") && source.contains("def save(model, folder):"));
}
