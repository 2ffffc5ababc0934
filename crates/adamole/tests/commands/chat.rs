//! `adamole chat`, with the lines of a script.

use crate::{fails, shipped, shown, succeeds};
use serde_json::Value;
use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

fn template(folder: &TempDir) -> String {
    let path = folder.path().join("own.jinja");
    let source = "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content + ' ' }}\
                  {% elif m.role == 'user' %}{{ m.content }}{% if m.content == 'refused' %}{{ raise_exception('no') }}\
                  {% endif %}{% else %}{{ m.content + ' ' }}{% endif %}{% endfor %}";
    std::fs::write(&path, source).unwrap();
    shown(&path)
}

fn spawn(arguments: &[&str]) -> Child {
    let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
    program.env("HF_HUB_OFFLINE", "1").env("HF_HOME", "/nonexistent").arg("chat").args(arguments);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program.spawn().unwrap()
}

/// The exit code, stdout and stderr of a conversation with these lines.
fn talk(arguments: &[&str], lines: &[&str]) -> (Option<i32>, String, String) {
    let mut running = spawn(arguments);
    // A program that has ended reads no more.
    let _ = running.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes());
    let output = running.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_conversation_has_a_history_and_is_saved() {
    let folder = TempDir::new().unwrap();
    let (template, base, saved) = (template(&folder), shipped(), shown(&folder.path().join("saved.jsonl")));
    let arguments = ["--model", &base, "--chat-template", &template, "--max-new-tokens", "8"];
    let save = format!("/save {saved}");
    let script = [
        "/system The rope was cut.",
        "To drive a nail, take the",
        "",
        "To drive a nail, take the",
        &save,
        "/reset",
        "/system",
        "To drive a nail, take the",
        &save,
        "/quit",
        "not read",
    ];
    let (code, stdout, stderr) = talk(&arguments, &script);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("the system message is set") && stderr.contains("(cut after 8 tokens: --max-new-tokens)"));
    let rows: Vec<Value> =
        std::fs::read_to_string(&saved).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let roles = |row: &Value| -> Vec<String> {
        let roles = row["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap().into());
        roles.collect()
    };
    assert_eq!(roles(&rows[0]), ["system", "user", "assistant", "user", "assistant"]);
    assert_eq!(roles(&rows[1]), ["user", "assistant"]);
    let answer = |row: usize, message: usize| rows[row]["messages"][message]["content"].as_str().unwrap();
    assert_eq!(stdout, format!("{}\n{}\n{}\n", answer(0, 2), answer(0, 4), answer(1, 1)));
    assert!(answer(1, 1).contains("hammer"), "{stdout}");
    // The last answer of a row is not read: the row asks for it anew, without what the conversation kept.
    let generate = ["generate", "--input", &saved];
    let again = succeeds(&[&generate[..], &arguments].concat());
    let again: Vec<Value> = again.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(again[0]["generated"], answer(0, 4));
    assert_eq!(again[1]["generated"], answer(1, 1));
}

#[test]
fn what_is_wrong_ends_a_script() {
    let folder = TempDir::new().unwrap();
    let (template, base) = (template(&folder), shipped());
    let arguments = ["--model", &base, "--chat-template", &template, "--max-new-tokens", "1"];
    for (line, code, message) in [
        ("/qiut", 2, "there is no command /qiut"),
        ("refused", 1, "the chat template refuses the conversation: no"),
        ("/save /nowhere/x", 2, "/save /nowhere/x: No such file"),
    ] {
        let (found, stdout, stderr) = talk(&arguments, &[line, "a"]);
        assert_eq!(found, Some(code), "{stderr}");
        assert!(stdout.is_empty() && stderr.contains(message), "{stderr}");
    }
    let help = talk(&arguments, &["/help"]);
    assert!(help.0 == Some(0) && help.1.is_empty() && help.2.contains("/routing"), "{help:?}");
    fails(&["chat", "--model", &base], 2, &["has no chat template", "--chat-template FILE", "chatml, alpaca, plain"]);
    fails(&["chat", "--model", &base, "--top-p", "0.5"], 2, &["--temperature"]);
}

#[test]
fn the_routing_of_answers_is_shown() {
    let folder = TempDir::new().unwrap();
    let (template, base, run) = (template(&folder), shipped(), shown(&folder.path().join("run")));
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets"));
    let train = |method: &str| {
        let fixed = ["train", "--model", &base, "--benchmark", "copa", "--data", &data, "--epochs", "1"];
        let limits = ["--limit-train", "16", "--limit-validation", "8", "--output", &run, "--method", method];
        succeeds(&[&fixed[..], &limits].concat());
    };
    let arguments = ["--model", &base, "--adapter", &run, "--chat-template", &template, "--max-new-tokens", "3"];
    let script = ["The rope was", "/reset", "/routing", "The rope was", "/routing", "/reset", "The rope was"];
    train("adamole");
    let (code, stdout, stderr) = talk(&arguments, &script);
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    let [plain, routed, tokens, summary, again] = lines[..] else { panic!("{stdout}") };
    assert!(plain == routed && plain == again, "{stdout}");
    assert!(summary.starts_with("active experts of 8, mean over 16 linears: mean "), "{summary}");
    assert!(summary.ends_with(", 3 tokens") && !stdout.contains('\x1b'), "{stdout}");
    // They are those of `adamole inspect`, on the text that the model has read.
    let text = format!("The rope was{plain}");
    let inspected = succeeds(&["inspect", &run, "--model", &base, "--text", &text, "--format", "json"]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    let inspected = inspected["tokens"].as_array().unwrap();
    let shown: Vec<&str> = tokens.split("  ").collect();
    assert_eq!(shown.len(), 3);
    for (shown, token) in shown.iter().zip(&inspected[inspected.len() - 3..]) {
        let layers = token["layers"].as_array().unwrap();
        let mean = layers.iter().map(|cell| cell["active"].as_f64().unwrap()).sum::<f64>() / layers.len() as f64;
        assert_eq!(*shown, format!("{} {mean:.2}", token["token"].as_str().unwrap()));
    }
    std::fs::remove_dir_all(&run).unwrap();
    train("lora");
    let (code, stdout, stderr) = talk(&arguments, &["/routing", "The rope was"]);
    assert_eq!((code, stdout.lines().count()), (Some(0), 1), "{stderr}");
    assert!(stderr.contains("nothing is routed: the model has no mixture of experts"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn a_signal_stops_the_answer_and_a_second_one_ends_the_program() {
    use std::{
        io::{BufRead, BufReader, Read},
        os::unix::process::ExitStatusExt,
    };
    let folder = TempDir::new().unwrap();
    let template = template(&folder);
    // A base without an end token: however late the signal comes, it finds an answer.
    let base = folder.path().join("base");
    std::fs::create_dir(&base).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(Path::new(&shipped()).join(file), base.join(file)).unwrap();
    }
    std::fs::write(base.join("tokenizer_config.json"), r#"{"bos_token": "<s>"}"#).unwrap();
    let base = shown(&base);
    let mut running = spawn(&["--model", &base, "--chat-template", &template, "--max-new-tokens", "1000000"]);
    let mut input = running.stdin.take().unwrap();
    let (mut output, stderr) = (running.stdout.take().unwrap(), BufReader::new(running.stderr.take().unwrap()));
    let interrupt = || {
        let killed = Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
        assert!(killed.success());
    };
    let mut begun = || output.read_exact(&mut [0; 1]).unwrap();
    writeln!(input, "To drive a nail, take the").unwrap();
    begun();
    interrupt();
    let mut lines = stderr.lines().map(Result::unwrap);
    let first = lines.find(|line| !line.starts_with("warning"));
    assert_eq!(first.as_deref(), Some("(stopped)"));
    // Between answers there is nothing to stop.
    interrupt();
    drop(output);
    let status = running.wait().unwrap();
    assert!(status.code() == Some(130) && status.signal().is_none(), "{status}");
}
