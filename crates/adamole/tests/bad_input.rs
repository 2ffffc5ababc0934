//! What people get wrong, seen from outside: one clear error that names the thing, the right exit code, and nothing
//! half written.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    data::train_tokenizer,
    llama::{CausalLm, ModelConfig, save_base},
};
use adamole_tests::{device, golden};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};
use tempfile::TempDir;

const ROWS: &str = r#"{"premise": "The rope was cut.", "choice1": "The boat drifted.", "choice2": "The boat sang.", "question": "effect", "idx": 0, "label": 0}
{"premise": "The lamp went out.", "choice1": "It was fed.", "choice2": "The oil was gone.", "question": "cause", "idx": 1, "label": 1}
"#;

/// A folder with a model, a benchmark and a place for output, all in order.
struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(TempDir::new().unwrap());
        let texts = ["Answer: A", "Answer: B"].repeat(20);
        train_tokenizer(&texts, 300, &scene.path("model")).unwrap();
        // The shape of the golden base, so that its adapters fit; the vocabulary is the tokenizer's.
        let config = ModelConfig::from_folder(&golden("bases/llama_gqa_s11")).unwrap();
        let config = config.with([("vocab_size".into(), 300.into())].into_iter().collect()).unwrap();
        save_base(&CausalLm::random(config, 1, &device()), &scene.path("model")).unwrap();
        fs::create_dir(scene.path("copa")).unwrap();
        scene.write("copa/train.jsonl", ROWS);
        scene.write("copa/validation.jsonl", ROWS);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, command: &str, more: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
        // Nothing is asked of the network, and nothing is kept outside of the scene.
        program.env("HF_HUB_OFFLINE", "1").env("HF_HOME", self.path("hub")).env("XDG_CACHE_HOME", self.path("cache"));
        program.current_dir(self.0.path()).arg(command).args(["--model", "model", "--data", "copa"]);
        if !more.contains(&"--benchmark") {
            program.args(["--benchmark", "copa"]);
        }
        if command == "train" {
            program.args(["--output", "run", "--epochs", "1"]);
        }
        program.args(more).output().unwrap()
    }

    /// Runs and expects failure with `code`, an error that holds all of `parts`, and no trace of a run.
    #[track_caller]
    fn fails(&self, command: &str, more: &[&str], code: i32, parts: &[&str]) {
        let output = self.run(command, more);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains("error"), "{error}");
        assert!(!error.contains("panicked"), "{error}");
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
        assert!(output.stdout.is_empty(), "stdout is for results");
        assert!(!self.path("run").exists(), "a failed start leaves nothing behind");
    }
}

#[test]
fn everything_in_order_trains_and_evaluates() {
    let scene = Scene::new();
    let output = scene.run("train", &["--format", "json", "--num-experts", "4"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let output = scene.run("evaluate", &["--format", "json", "--adapter", "run"]);
    let evaluated: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["accuracy", "items", "mean_active_experts"] {
        assert_eq!(trained[key], evaluated[key], "{key}");
        assert!(trained[key].is_number(), "{key}");
    }
    for key in ["seconds", "tokens_per_second", "peak_memory_bytes"] {
        assert!(trained[key].is_number() && evaluated[key].is_number(), "{key}");
    }
    let files = ["config.json", "metrics.jsonl", "report.json", "adapter/adapter_model.safetensors"];
    assert!(files.iter().all(|file| scene.path("run").join(file).exists()));
    let output = scene.run("train", &[]);
    assert_eq!(output.status.code(), Some(2), "a run is not overwritten");
}

#[test]
fn missing_files_are_named() {
    let scene = Scene::new();
    fs::remove_file(scene.path("copa/validation.jsonl")).unwrap();
    scene.fails("train", &[], 1, &["validation.jsonl does not exist", "train.jsonl", "hint: --data"]);
    scene.write("copa/validation.jsonl", ROWS);
    fs::remove_file(scene.path("model/model.safetensors")).unwrap();
    scene.fails("train", &[], 1, &["model: no model.safetensors", "hint: --model"]);
    fs::remove_dir_all(scene.path("model")).unwrap();
    scene.fails("evaluate", &[], 1, &["`model` was not found: there is no such folder"]);
}

#[test]
fn foreign_and_truncated_weights_are_refused() {
    let scene = Scene::new();
    let whole = fs::read(scene.path("model/model.safetensors")).unwrap();
    for length in [0, 7, 8, 100, whole.len() - 1] {
        scene.write("model/model.safetensors", &whole[..length]);
        scene.fails("train", &[], 1, &["model.safetensors", "hint: fetch"]);
    }
    scene.write("model/model.safetensors", "PK\u{3}\u{4} something else entirely");
    scene.fails("evaluate", &[], 1, &["model.safetensors: not a complete safetensors file"]);
}

#[test]
fn configs_that_are_not_implemented_are_refused() {
    let scene = Scene::new();
    let config = fs::read_to_string(scene.path("model/config.json")).unwrap();
    scene.write("model/config.json", config.replace("\"llama\"", "\"mamba\""));
    scene.fails("train", &[], 1, &["config.json: model_type is mamba, expected one of llama, mistral"]);
    scene.write("model/config.json", config.replace("\"hidden_size\"", "\"hidden_sise\""));
    scene.fails("train", &[], 1, &["config.json: missing field `hidden_size`"]);
    scene.write("model/config.json", config.replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"));
    scene.fails("train", &[], 1, &["num_key_value_heads is 3, expected a divisor"]);
    scene.write("model/config.json", config.replace("\"intermediate_size\": 64", "\"intermediate_size\": 65"));
    scene.fails(
        "train",
        &[],
        1,
        &["tensors do not fit the model", "mlp.up_proj.weight: found [64, 32], expected [65, 32]"],
    );
}

#[test]
fn malformed_rows_are_reported_by_line_and_field() {
    let scene = Scene::new();
    scene.write("copa/train.jsonl", ROWS.replace("\"label\": 1", "\"label\": \"one\""));
    scene.fails("train", &[], 1, &["train.jsonl:2", "label"]);
    scene.write("copa/train.jsonl", ROWS.replace("\"choice2\": \"The boat sang.\", ", ""));
    scene.fails("train", &[], 1, &["train.jsonl:1", "choice2"]);
    scene.write("copa/train.jsonl", format!("{ROWS}{{\"premise\": "));
    scene.fails("train", &[], 1, &["train.jsonl:3"]);
    scene.write("copa/train.jsonl", ROWS.replace("\"label\": 1", "\"label\": -1"));
    scene.fails("train", &[], 1, &["copa, train split: row 2 of copa has no answer"]);
    scene.write("copa/train.jsonl", "");
    scene.fails("train", &[], 1, &["train.jsonl has no usable rows"]);
}

#[test]
fn wrong_use_exits_with_2() {
    let scene = Scene::new();
    scene.fails("train", &["--benchmark", "copra"], 2, &["unknown benchmark `copra`", "copa"]);
    scene.fails("train", &["--device", "abacus"], 2, &["device abacus is unknown"]);
    scene.fails("train", &["--rank", "0"], 2, &["rank is 0, expected an integer of at least 1"]);
    scene.fails("train", &["--tau-max=-1"], 2, &["tau_max"]);
    scene.fails("train", &["--targets", "q_proj,z_proj"], 2, &["z_proj"]);
    scene.fails("train", &["--learning-rate", "nan"], 2, &["--learning-rate", "expected a finite number"]);
    scene.fails("train", &["--batch-size", "many"], 2, &["many"]);
    scene.fails("evaluate", &["--split", "dev"], 2, &["unknown name `dev`"]);
    for (file, part) in [
        ("epochs = 3\nepoch = 4\n", "run.toml:2:1: there is no setting `epoch`, did you mean `epochs`?"),
        ("[train]\nepochs = 3\n", "run.toml:1:2: [train] is a section"),
        ("epochs = 3\nrank = 4\nalpha = \"big\"\n", "run.toml:3:9: alpha is big, expected a finite number"),
        ("order = \"bucked\"\n", "run.toml:1:9: order is bucked, expected bucketed or length-grouped"),
        ("num_experts = \"pyramid\"\n", "run.toml:1:15: num_experts: allocation is pyramid, expected a number"),
        ("epochs = -1\n", "run.toml:1:10: epochs is -1, expected an integer of at least 0"),
        ("epochs = 3\nepochs = 4\n", "duplicate key"),
        ("epochs = \n", "line 1, column 1"),
    ] {
        scene.write("run.toml", file);
        scene.fails("train", &["--config", "run.toml"], 2, &[part]);
    }
}

#[test]
fn adapters_that_do_not_fit_are_refused_whole() {
    let scene = Scene::new();
    scene.fails(
        "evaluate",
        &["--adapter", "nowhere"],
        1,
        &["`nowhere` was not found: there is no such folder", "hint: "],
    );
    let adapter = scene.path("adapter");
    fs::create_dir(&adapter).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(golden("llama_gqa__ada_1").join(file), adapter.join(file)).unwrap();
    }
    assert!(scene.run("evaluate", &["--adapter", "adapter"]).status.success());
    let config = fs::read_to_string(adapter.join("adapter_config.json")).unwrap();
    scene.write("adapter/adapter_config.json", config.replace("\"lora_rank\": 4", "\"lora_rank\": 5"));
    let parts = ["misshaped", "layers.0.self_attn.q_proj.lora_A.0.weight: found [4, 32], expected [5, 32]", "hint:"];
    scene.fails("evaluate", &["--adapter", "adapter"], 1, &parts);
    scene.write("adapter/adapter_config.json", config.replace("\"num_experts\": 8", "\"num_experts\": 9"));
    let parts = ["missing", "lora_A.8.weight", "lora_gating.weight: found [8, 32], expected [9, 32]"];
    scene.fails("evaluate", &["--adapter", "adapter"], 1, &parts);
    scene.write("adapter/adapter_config.json", config.replace("ADAMOLE", "IA3"));
    scene.fails("evaluate", &["--adapter", "adapter"], 1, &["peft_type is IA3, expected LORA"]);
}
