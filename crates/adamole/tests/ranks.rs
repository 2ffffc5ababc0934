//! Several processes on one run, by the MPI that is installed: `cargo test --release --workspace --features adamole/mpi --test
//! ranks`. What ranks compute is tested without MPI too, in `tests/tests/ranks.rs`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// So many processes of the program.
fn mpirun(ranks: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    // Open MPI refuses a root, and more processes than cores, unless it is told.
    let environment = ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "HF_HUB_OFFLINE"];
    command.envs(environment.map(|name| (name, "1"))).env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
    command.env("OMPI_MCA_rmaps_base_oversubscribe", "1").env("OMPI_MCA_hwloc_base_binding_policy", "none");
    // Seconds to save in before a process is killed; Open MPI waits as long even where all have ended.
    command.env("OMPI_MCA_odls_base_sigkill_timeout", "5");
    command.args(["-n", &ranks.to_string(), env!("CARGO_BIN_EXE_adamole")]).args(arguments).current_dir(root());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

const SETTINGS: [&str; 22] = [
    "--model",
    "datasets/base",
    "--benchmark",
    "copa",
    "--data",
    "datasets/copa",
    "--method",
    "adamole",
    "--num-experts",
    "4",
    "--rank",
    "4",
    "--batch-size",
    "8",
    "--micro-batch-size",
    "1",
    "--warmup-steps",
    "10",
    "--device",
    "cpu",
    "--checkpoint-every",
    "10",
];

fn train(ranks: usize, epochs: &str, output: &Path) -> Command {
    let output = output.to_str().unwrap();
    mpirun(ranks, &[&["train", "--epochs", epochs, "--output", output, "--token-cache", "off"], &SETTINGS[..]].concat())
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// The adapter, and the metrics without times.
fn left(run: &Path) -> (Vec<u8>, Vec<serde_json::Value>) {
    let untimed = |line: &str| {
        let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
        for time in ["seconds", "tokens_per_second"] {
            event.as_object_mut().unwrap().remove(time);
        }
        event
    };
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    (fs::read(run.join("adapter/adapter_model.safetensors")).unwrap(), metrics.lines().map(untimed).collect())
}

#[test]
fn one_two_and_four_processes_leave_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let runs = [1, 2, 4].map(|ranks| {
        let run = folder.path().join(ranks.to_string());
        let output = train(ranks, "1", &run).output().unwrap();
        let stderr = succeeded(&output);
        // One process talks.
        assert_eq!(stderr.matches("epoch 1:").count(), 1, "{stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).matches("accuracy").count(), 1);
        left(&run)
    });
    assert!(runs[0].1.len() > 50);
    assert!(runs.iter().all(|run| *run == runs[0]), "{:?}", runs.map(|(_, metrics)| metrics.last().cloned()));

    let adapter = folder.path().join("1");
    let predictions = [1, 3].map(|ranks| {
        let file = folder.path().join(format!("{ranks}.jsonl"));
        let common = ["--model", "datasets/base", "--benchmark", "copa", "--data", "datasets/copa", "--device", "cpu"];
        let own =
            ["--adapter", adapter.to_str().unwrap(), "--predictions", file.to_str().unwrap(), "--token-cache", "off"];
        succeeded(&mpirun(ranks, &[&["evaluate"], &common[..], &own[..]].concat()).output().unwrap());
        fs::read(file).unwrap()
    });
    assert!(predictions[0] == predictions[1] && !predictions[0].is_empty());
}

/// The processes of the program below a process, by /proc.
fn ranks_of(parent: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(300), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a run that is long enough to be ended, and waits until it has done some steps.
fn begun(run: &Path) -> Child {
    let child = train(3, "4", run).spawn().unwrap();
    let lines = || fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
    wait_for("the run does not begin", || lines() > 30);
    child
}

fn kill(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_whose_process_is_killed_or_stopped_goes_on_with_another_number() {
    let folder = tempfile::tempdir().unwrap();
    let unbroken = folder.path().join("unbroken");
    succeeded(&train(1, "4", &unbroken).output().unwrap());
    for (signal, victim) in [("-KILL", 2), ("-TERM", 1), ("-TERM", 0)] {
        let run = folder.path().join(format!("{signal}{victim}"));
        let child = begun(&run);
        let ranks = ranks_of(child.id());
        assert_eq!(ranks.len(), 3);
        kill(signal, ranks[victim]);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains("stopped by a signal after"), "{stderr}");
        assert!(stderr.contains("continue with --resume"), "{stderr}");
        let resumed = mpirun(2, &["train", "--resume", run.to_str().unwrap()]).output().unwrap();
        assert!(succeeded(&resumed).contains("resuming after"));
        let (adapter, metrics) = left(&run);
        let (expected, all) = left(&unbroken);
        assert!(adapter == expected, "{signal} {victim}");
        assert_eq!(metrics, all, "{signal} {victim}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_one_process_lacks_is_said_once_and_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // The third is elsewhere, where its folder of data is another.
    let script = format!(
        "[ \"${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}\" = 2 ] && cd {}; exec {} \"$@\"",
        folder.path().display(),
        env!("CARGO_BIN_EXE_adamole")
    );
    let elsewhere = |arguments: &[&str]| {
        let mut command = Command::new("mpirun");
        let known = mpirun(3, &[]);
        command.envs(known.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(root());
        command.args(["-n", "3", "sh", "-c", &script, "sh"]).args(arguments).output().unwrap()
    };
    let base = root().join("datasets/base");
    let (base, run_name) = (base.to_str().unwrap(), run.to_str().unwrap());
    let common = ["--model", base, "--benchmark", "copa", "--data", "/proc/self/cwd/datasets/copa", "--device", "cpu"];
    for command in [&["train", "--output", run_name][..], &["evaluate"]] {
        let output = elsewhere(&[command, &common[..], &["--token-cache", "off"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains("error: rank 2 on ") && stderr.contains("does not exist"), "{stderr}");
        assert!(stderr.matches("error: ").count() == 1, "{stderr}");
        assert!(!run.exists());
    }
}

#[test]
fn what_several_processes_cannot_share_is_refused_once() {
    let output = mpirun(3, &["generate", "--model", "datasets/base", "--prompt", "a"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert_eq!(stderr.matches("only `adamole train` and `adamole evaluate` can be shared").count(), 1, "{stderr}");
}
