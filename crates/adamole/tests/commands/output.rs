//! Outputs that are closed or full: a result that cannot be written is said, talk that cannot is not missed.

use crate::shipped;
use std::process::Command;

/// The program's exit code and what it wrote, with these redirections of a shell.
fn redirected(arguments: &str, redirections: &str) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_adamole");
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("set -o pipefail; {program} {arguments} {redirections}")]);
    let output = shell.env("HF_HUB_OFFLINE", "1").env("HF_HOME", "/nonexistent").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_closed_stdout_is_an_error_and_a_closed_pipe_is_not() {
    let base = shipped();
    for arguments in [
        format!("generate --model {base} --prompt a --max-new-tokens 2"),
        format!("generate --model {base} --prompt a --max-new-tokens 2 --format json"),
        format!("items --benchmark copa --data {base}/../copa"),
        "devices".to_owned(),
    ] {
        let (code, text) = redirected(&arguments, ">&-");
        assert!(
            code == Some(1) && text.contains("error: cannot write the result: it is closed"),
            "{arguments}: {text}"
        );
        // The reader has gone before anything is written.
        let (code, text) = redirected(&arguments, "| { exec <&-; sleep 0.2; }");
        assert!(code == Some(0) && text.is_empty(), "{arguments}: {code:?} {text}");
        let (code, text) = redirected(&arguments, "> /dev/null");
        assert!(code == Some(0) && text.is_empty(), "{arguments}: {code:?} {text}");
    }
}

#[test]
fn talk_that_cannot_be_written_does_not_end_the_program() {
    for redirection in ["2> /dev/full", "2>&-"] {
        let (code, text) = redirected("generate --model /nowhere --prompt a", redirection);
        assert_eq!((code, text.as_str()), (Some(1), ""), "{redirection}");
        let estimate = format!("estimate --tau-max 1 --model {0} --benchmark copa --data {0}/../copa", shipped());
        let (code, text) = redirected(&format!("{estimate} --token-cache off"), redirection);
        assert!(code == Some(0) && text.contains("memory: about"), "{redirection}: {code:?} {text}");
    }
}
