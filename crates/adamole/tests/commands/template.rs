//! `adamole template`.

use crate::{fails, shipped, shown};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// The exit code, a value for each line of stdout, and stderr.
fn rendered(arguments: &[&str], input: &str) -> (Option<i32>, Vec<Value>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
    program.arg("template").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = program.spawn().unwrap();
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let values = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), values, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn conversations_have_their_text_and_their_spans() {
    let line = r#"{"messages": [{"role": "user", "content": "é"}, {"role": "assistant", "content": "ok"}], "eos_token": "</s>"}"#;
    let (code, values, stderr) = rendered(&["--template", "plain"], line);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        values,
        [json!({"text": "User: é\nAssistant: ok</s>\n", "generated_chars": [[18, 25]], "generated_bytes": [[19, 26]],
            "spans_by": "generation"})]
    );
}

#[test]
fn a_line_that_is_not_rendered_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("own.jinja");
    let source = "{% for m in messages %}{{ m.content + x | default('') }}{% endfor %}{{ strftime_now('%Y') }}\
                  {% if not messages %}{{ raise_exception('nobody') }}{% endif %}";
    std::fs::write(&template, source).unwrap();
    let lines = [
        r#"{"messages": [{"role": "user", "content": "a"}], "x": "b", "now": "2031-01-02T03:04:05"}"#,
        r#"{"messages": [{"role": "user", "content": "a"}], "extra": {"x": "c"}, "now": "2032-01-02T03:04:05Z"}"#,
        "{",
        "",
        r#"{"messages": []}"#,
        r#"{"messages": [{"content": "a"}]}"#,
        r#"{"messages": [], "now": "tomorrow"}"#,
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "now": "2033-01-01"}"#,
    ];
    let (code, values, stderr) = rendered(&["--template", &shown(&template)], &lines.join("\n"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("4 of 7 conversations were not rendered"), "{stderr}");
    assert_eq!((&values[0]["text"], &values[0]["spans_by"]), (&json!("ab2031"), &json!("prefixes")));
    assert_eq!(values[1]["text"], "ac2032");
    assert!(values[2]["error"].as_str().unwrap().starts_with("line 3: EOF while parsing"));
    assert_eq!(values[3]["error"], "the chat template refuses the conversation: nobody");
    assert_eq!(values[4]["error"], "line 6: `messages[0]` has no `role`");
    assert!(values[5]["error"].as_str().unwrap().starts_with("line 7: `now` is `tomorrow`, expected a date and time"));
    assert_eq!((&values[6]["text"], &values[6]["generated_chars"]), (&json!("ab2033"), &Value::Null));
    let error = values[6]["spans_error"].as_str().unwrap();
    assert!(error.contains("message 1") && error.ends_with("{% generation %} blocks"), "{error}");
}

#[test]
fn a_base_without_a_template_has_a_remedy() {
    let base = shipped();
    fails(
        &["template", "--model", &base],
        2,
        &["has no chat template", "--chat-template FILE", "chatml, alpaca, plain"],
    );
    fails(&["template"], 2, &["--model"]);
    fails(
        &["template", "--template", "nowhere"],
        2,
        &["--template nowhere is neither one of chatml, alpaca, plain nor a file"],
    );
    // The tokens of the base stand in for those that a line does not give.
    let line = r#"{"messages": [{"role": "assistant", "content": "a"}]}"#;
    let (_, values, _) = rendered(&["--model", &base, "--chat-template", "alpaca"], line);
    let text = values[0]["text"].as_str().unwrap();
    assert!(text.ends_with("### Response:\na</s>"), "{text}");
}
