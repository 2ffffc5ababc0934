//! Commands seen from outside: what they print and what they write.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::llama::{TensorFile, write_tensors};
use adamole_tests::{Case, assert_close, floats, golden, values};
use burn::tensor::TensorData;
use serde_json::Value;
use std::{path::Path, process::Command};
use tempfile::TempDir;

fn adamole(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
    program.env("HF_HUB_OFFLINE", "1").env("HF_HOME", "/nonexistent").args(arguments);
    if !arguments.contains(&"--token-cache") && ["train", "evaluate", "estimate", "items"].contains(&arguments[0]) {
        program.args(["--token-cache", "off"]);
    }
    let output = program.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = adamole(arguments);
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

#[track_caller]
fn fails(arguments: &[&str], code: i32, parts: &[&str]) {
    let (found, stdout, stderr) = adamole(arguments);
    assert_eq!(found, Some(code), "{stderr}");
    assert!(stdout.is_empty() && !stderr.contains("panicked"), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The shipped base, which has a tokenizer.
fn shipped() -> String {
    shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base"))
}

/// A file with a case's batch.
fn batch(case: &Case, folder: &TempDir) -> String {
    let path = folder.path().join("batch.safetensors");
    let tensor = |name: &str| {
        let (values, shape) = case.tensors.integers(name).unwrap();
        (name.to_owned(), TensorData::new(values, shape))
    };
    write_tensors(&path, &["input_ids", "attention_mask", "labels"].map(tensor)).unwrap();
    shown(&path)
}

#[test]
fn a_trace_holds_what_the_published_implementation_computes() {
    let folder = TempDir::new().unwrap();
    for name in ["llama_gqa__ada_max1", "gemma__mole_top2", "llama_gqa__lora"] {
        let case = Case::open(name);
        let output = shown(&folder.path().join("trace.safetensors"));
        let (model, adapter) = (shown(&case.folder.join(case.json["base"].as_str().unwrap())), shown(&case.folder));
        let stdout = succeeds(&[
            "trace",
            "--model",
            &model,
            "--adapter",
            &adapter,
            "--input",
            &batch(&case, &folder),
            "--output",
            &output,
            "--gradients",
            "--compat",
            "reference",
        ]);
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let close = |key: &str, expected: f64| {
            let found = report[key].as_f64().unwrap();
            assert!((found - expected).abs() < 2e-5, "{name} {key}: {found}, expected {expected}");
        };
        close("task_loss", case.number("/ce_loss"));
        close("total_loss", case.number("/total_loss"));
        close("auxiliary_loss", case.json["aux_loss_total"].as_f64().unwrap_or(0.0));
        for (module, loss) in case.json["aux_loss_per_module"].as_object().into_iter().flatten() {
            let found = report["auxiliary_loss_per_module"][module].as_f64().unwrap();
            assert!((found - loss.as_f64().unwrap()).abs() < 1e-5, "{name} {module}");
            let mean = case.json["activation"][module]["mean_active_all"].as_f64().unwrap();
            let found = report["mean_active_experts_per_module"][module].as_f64().unwrap();
            assert!((found - mean).abs() < 1e-6, "{name} {module}");
        }
        let trace = TensorFile::open(Path::new(&output)).unwrap();
        assert_close(name, &floats(&trace, "logits"), &case.floats("logits"), 1e-4, 0.0);
        for route in case.tensors.names().into_iter().filter(|key| key.starts_with("route.")) {
            assert_eq!(trace.shape(&route), case.tensors.shape(&route), "{name} {route}");
            match route.ends_with("selected") {
                true => assert_eq!(trace.integers(&route).unwrap().0, case.integers(&route), "{name} {route}"),
                false => assert_close(&route, &floats(&trace, &route), &case.floats(&route), 1e-5, 0.0),
            }
        }
        let gradients = TensorFile::open(&case.folder.join("grads.safetensors")).unwrap();
        let ours: Vec<String> =
            trace.names().iter().filter_map(|key| key.strip_prefix("grad.").map(str::to_owned)).collect();
        assert_eq!(ours, gradients.names(), "{name}");
        for key in ours {
            let actual = floats(&trace, &format!("grad.{key}"));
            assert_close(&key, &actual, &values(gradients.floats(&key).unwrap()), 1e-5, 1e-3);
        }
    }
}

#[test]
fn a_trace_without_labels_has_no_loss_and_counts_no_padding() {
    let folder = TempDir::new().unwrap();
    let case = Case::open("llama_gqa__ada_1");
    let input = shown(&folder.path().join("batch.safetensors"));
    let ids = TensorData::new(vec![5_i64, 6, 7, 8, 9, 10], [2, 3]);
    let mask = TensorData::new(vec![1_i64, 1, 1, 1, 0, 0], [2, 3]);
    write_tensors(Path::new(&input), &[("input_ids".into(), ids), ("attention_mask".into(), mask)]).unwrap();
    let output = shown(&folder.path().join("trace.safetensors"));
    let (model, adapter) = (shown(&golden("bases/llama_gqa_s11")), shown(&case.folder));
    let arguments =
        ["trace", "--model", &model, "--adapter", &adapter, "--input", &input, "--output", &output, "--gradients"];
    let report: Value = serde_json::from_str(&succeeds(&arguments)).unwrap();
    assert!(report["task_loss"].is_null() && report["total_loss"].is_null());
    let counting: Value =
        serde_json::from_str(&succeeds(&[&arguments[..], &["--compat", "reference"]].concat())).unwrap();
    assert_ne!(report["auxiliary_loss"], counting["auxiliary_loss"]);
    let names = TensorFile::open(Path::new(&output)).unwrap().names();
    assert!(!names.iter().any(|name| name.starts_with("grad.")), "{names:?}");

    write_tensors(Path::new(&input), &[("input_ids".into(), TensorData::new(vec![5_i64, 600], [1, 2]))]).unwrap();
    fails(&arguments, 1, &["input_ids", "600", "128"]);
}

#[test]
fn text_is_continued_the_same_way_each_time() {
    let model = shipped();
    let prompt = "To drive a nail, take the";
    let run = |more: &[&str]| {
        succeeds(&[&["generate", "--model", &model, "--prompt", prompt, "--max-new-tokens", "8"], more].concat())
    };
    let greedy = run(&[]);
    assert!(greedy.starts_with(prompt) && greedy.contains("hammer"), "{greedy}");
    assert_eq!(run(&[]), greedy);
    let drawn = |seed| run(&["--temperature", "2", "--seed", seed]);
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    assert_eq!(run(&["--temperature", "2", "--top-p", "0.0001"]), greedy, "one token is left to draw from");
    let report: Value = serde_json::from_str(&run(&["--format", "json"])).unwrap();
    assert!(report["tokens"].as_u64().unwrap() > 0 && report["tokens_per_second"].is_number());
    fails(&["generate", "--model", &model, "--prompt", prompt, "--temperature", "0"], 2, &["--temperature is 0"]);
}

#[test]
fn a_mixture_is_not_merged_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let output = shown(&folder.path().join("merged"));
    let case = Case::open("llama_gqa__ada_1");
    let (model, adapter) = (shown(&golden("bases/llama_gqa_s11")), shown(&case.folder));
    let arguments = ["export", "--model", &model, "--adapter", &adapter, "--merge", "--output", &output];
    fails(&arguments, 1, &["model.layers.0.self_attn.q_proj", "routed mixture", "depends on the token"]);
    assert!(!Path::new(&output).exists());
}

#[test]
fn settings_that_belong_to_another_method_are_refused() {
    let model = shipped();
    let train = |more: &[&str]| {
        let fixed = ["train", "--model", &model, "--data", "nowhere", "--benchmark", "copa"];
        let arguments = [&fixed[..], more].concat();
        adamole(&arguments)
    };
    for (flags, part) in [
        (&["--method", "lora", "--tau-max", "0.5"][..], "tau_max is no setting of the method lora"),
        (&["--method", "mole", "--top-k", "2", "--top-p", "0.5"], "only one"),
        (&["--method", "mole", "--top-p", "1.5"], "top_p is 1.5, expected a number in (0, 1]"),
        (&["--method", "sira", "--capacity-factor", "0"], "capacity_factor is 0"),
        (&["--num-experts", "8,0"], "num_experts is 0"),
        (&["--num-experts", "pyramid"], "triangle"),
        (&["--chain-links", "11", "--method", "lora"], "chain_links is 11"),
        (&["--dtype", "int4"], "bfloat16"),
    ] {
        let (code, _, stderr) = train(flags);
        assert_eq!(code, Some(2), "{flags:?}: {stderr}");
        assert!(stderr.contains(part), "{flags:?}: {stderr}");
    }
}

#[test]
fn a_run_says_where_it_departs_from_the_published_implementation() {
    let folder = TempDir::new().unwrap();
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let departures = |name: &str, more: &[&str]| {
        let output = shown(&folder.path().join(name));
        let (model, limits) = (shipped(), ["--limit-train", "20", "--limit-validation", "8", "--epochs", "1"]);
        let run = ["train", "--benchmark", "copa", "--data", &data, "--model", &model, "--output", &output];
        let stdout = succeeds(&[&run[..], &limits, &["--format", "json"], more].concat());
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let departures = report["departures"].as_array().unwrap().iter();
        departures.map(|departure| departure["setting"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(departures("published", &["--compat", "reference"]), Vec::<String>::new());
    assert_eq!(departures("but-one", &["--compat", "reference", "--labels", "answer"]), ["labels"]);
    let ours = ["accumulation", "dropout_scope", "labels", "order", "padding", "scoring", "truncation"];
    assert_eq!(departures("ours", &[]), ours);
}

#[test]
#[cfg(target_os = "linux")]
fn memory_is_foretold() {
    let folder = TempDir::new().unwrap();
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let output = shown(&folder.path().join("run"));
    let run = ["train", "--benchmark", "copa", "--data", &data, "--model", &shipped(), "--output", &output];
    let settings = ["--limit-train", "200", "--epochs", "1", "--workers", "2", "--format", "json"];
    let report: Value = serde_json::from_str(&succeeds(&[&run[..], &settings].concat())).unwrap();
    let estimate = report["memory_estimate"].as_object().unwrap();
    let foretold: f64 = estimate.values().map(|bytes| bytes.as_f64().unwrap()).sum();
    let ratio = foretold / report["peak_memory_bytes"].as_f64().unwrap();
    assert!((0.85..1.15).contains(&ratio), "{ratio} of the peak: {estimate:?}");
    assert!(report["share_of_matmul_peak"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_estimate_tells_what_the_run_is_going_to_be() {
    let folder = TempDir::new().unwrap();
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let model = shipped();
    for method in ["lora", "mole", "adamole", "sira"] {
        let settings = [
            &["--benchmark", "copa", "--data", &data, "--model", &model, "--method", method, "--epochs", "2"][..],
            &["--train-split", "train[:40]", "--validation-split", "train[40:50]", "--report-split", "test[:20]"],
            &["--format", "json"],
        ]
        .concat();
        let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let estimate = json(succeeds(&[&["estimate"][..], &settings].concat()));
        let output = shown(&folder.path().join(method));
        let report = json(succeeds(&[&["train", "--output", &output][..], &settings].concat()));
        for key in ["trainable_parameters", "steps", "train_items", "train_tokens"] {
            assert_eq!(estimate[key], report[key], "{method} {key}");
        }
        assert_eq!((&report["items"], &report["reported"]["items"]), (&10.into(), &20.into()));
        assert_eq!((&estimate["validation_items"], &estimate["report_items"]), (&10.into(), &20.into()));
        assert_eq!(report["selected_on"], "train[40:50]");
        let record = json(std::fs::read_to_string(folder.path().join(method).join("config.json")).unwrap());
        let mut config = estimate["config"].as_object().unwrap().clone();
        config.remove("output");
        for (key, value) in &config {
            assert_eq!(record.get(key), Some(value), "{key}");
        }
        assert_eq!(estimate["fingerprint"]["base"], record["fingerprint"]["base"]);
        let operations = estimate["train_operations"].as_f64().unwrap();
        let done = report["gigaflop_per_second"].as_f64().unwrap() * 1e9 * report["train_tokens"].as_f64().unwrap()
            / report["tokens_per_second"].as_f64().unwrap();
        // The run also computes padding.
        assert!((0.8..=1.0).contains(&(operations / done)), "{method}: {operations} foretold, {done} done");
    }
}

#[test]
fn parts_of_a_split_stay_apart() {
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let model = shipped();
    let rows = |part: &str| -> Vec<u64> {
        let printed = succeeds(&["items", "--benchmark", "copa", "--data", &data, "--split", part, "--format", "json"]);
        printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["row"].as_u64().unwrap()).collect()
    };
    assert_eq!(rows("validation[3:6]"), [4, 5, 6]);
    assert_eq!(rows("validation[98:]"), [99, 100]);
    let shuffled = |part: &str| {
        let printed = succeeds(&["items", "--benchmark", "copa", "--data", &data, "--split", part, "--shuffle-parts"]);
        printed.lines().filter(|line| line.starts_with("Premise: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, other) = (shuffled("validation[:40]"), shuffled("validation[40:]"));
    assert!((one.len(), other.len()) == (40, 60) && one[..3] != shuffled("validation")[..3]);
    let run = ["estimate", "--benchmark", "copa", "--data", &data, "--model", &model];
    let overlap = ["--train-split", "train[:50]", "--report-split", "train[49:60]"];
    fails(&[&run[..], &overlap].concat(), 2, &["train[:50] is trained on", "train[49:60]"]);
    fails(&[&run[..], &["--train-split", "train[900:]"]].concat(), 2, &["train[900:] has no items", "800"]);
    fails(&[&run[..], &["--train-split", "train[:0]"]].concat(), 2, &["train[200:250]"]);
}

#[test]
fn the_papers_models_fit_a_gpu_of_80_gb() {
    let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/experiments/shapes");
    // The parameters that are published for each.
    for (shape, parameters) in [
        ("llama-2-7b", 6_738_415_616_u64),
        ("llama-2-13b", 13_015_864_320),
        ("gemma-7b", 8_537_680_896),
        ("smollm2-135m", 134_515_008),
    ] {
        let shape = shown(&shapes.join(shape));
        let assumed = ["--shape", &shape, "--items", "5000,1000,1000", "--tokens", "100"];
        let run = ["estimate", "--model", "not/here", "--benchmark", "cosmos_qa", "--dtype", "bfloat16"];
        let options = ["--device", "cuda", "--labels", "text", "--format", "json"];
        let report: Value = serde_json::from_str(&succeeds(&[&run[..], &assumed, &options].concat())).unwrap();
        assert_eq!(report["parameters"].as_u64(), Some(parameters), "{shape}");
        let bytes = report["memory_bytes"].as_u64().unwrap();
        assert!(bytes > 2 * parameters && bytes < 80_000_000_000, "{shape} takes {bytes} bytes");
        assert_eq!(report["fingerprint"], Value::Null);
    }
}

#[test]
fn items_are_printed_as_the_model_sees_them() {
    let model = shipped();
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let fixed = ["items", "--benchmark", "copa", "--data", &data, "--limit", "3", "--format", "json"];
    let lines = succeeds(&[&fixed[..], &["--tokens", "--model", &model]].concat());
    let items: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items.len(), 3);
    for item in &items {
        let (prompt, answer) = (item["prompt"].as_str().unwrap(), item["answer"].as_str().unwrap());
        assert_eq!(item["text"].as_str().unwrap(), format!("{prompt}{answer}"));
        assert!(prompt.starts_with("Premise: ") && prompt.contains(item["choices"][1].as_str().unwrap()));
        let ids = |key: &str| item["tokens"][key].as_array().unwrap().clone();
        let (train, evaluate) = (ids("train"), ids("evaluate"));
        assert_eq!(train[..evaluate.len()], evaluate);
        let letter = ["A", "B"].iter().position(|letter| *letter == answer).unwrap();
        assert_eq!(train[evaluate.len()], ids("choices")[letter]);
    }
    let without: Value = serde_json::from_str(succeeds(&fixed).lines().next().unwrap()).unwrap();
    assert!(without.get("tokens").is_none());
    fails(&[&fixed[..], &["--tokens"]].concat(), 2, &["--model"]);
    fails(
        &["items", "--benchmark", "copa", "--data", "nowhere"],
        1,
        &["`nowhere` was not found: there is no such folder"],
    );
}

#[test]
fn an_adapter_is_inspected_token_by_token() {
    let folder = TempDir::new().unwrap();
    let (base, run) = (shipped(), shown(&folder.path().join("run")));
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets"));
    let train = |method: &[&str]| {
        let fixed = ["train", "--model", &base, "--benchmark", "copa", "--data", &data, "--epochs", "1"];
        let limits = ["--limit-train", "16", "--limit-validation", "8", "--output", &run];
        succeeds(&[&fixed[..], &limits, method].concat())
    };
    train(&["--method", "adamole"]);
    let tokens_page = shown(&folder.path().join("page.html"));
    let inspect = ["inspect", &run, "--model", &base, "--text", "The rope was cut.", "--html", &tokens_page];
    let found: Value = serde_json::from_str(&succeeds(&[&inspect[..], &["--format", "json"]].concat())).unwrap();
    let tokens = found["tokens"].as_array().unwrap();
    assert_eq!((&found["experts"], tokens[0]["token"].as_str()), (&8.into(), Some("<s>")));
    let layers = found["layers"].as_array().unwrap().len();
    for token in tokens {
        let cells = token["layers"].as_array().unwrap();
        assert_eq!(cells.len(), layers);
        for cell in cells {
            let linears = cell["linears"].as_array().unwrap();
            let mean = linears.iter().map(|linear| linear[1].as_f64().unwrap()).sum::<f64>() / linears.len() as f64;
            assert!((mean - cell["active"].as_f64().unwrap()).abs() < 1e-9 && linears.len() == 4, "{cell}");
            assert!((0.0..0.125).contains(&cell["threshold"].as_f64().unwrap()));
        }
    }
    let (routing, page) = (shown(&folder.path().join("routing.json")), shown(&folder.path().join("routing.html")));
    let evaluate = ["evaluate", "--model", &base, "--adapter", &run, "--benchmark", "copa", "--data", &data];
    let files = ["--limit", "8", "--routing", &routing, "--routing-page", &page, "--format", "json"];
    let report: Value = serde_json::from_str(&succeeds(&[&evaluate[..], &files].concat())).unwrap();
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let analyses = read(Path::new(&routing));
    // The run kept the same of its only epoch, which the same items judged.
    assert_eq!(analyses, read(&Path::new(&run).join("routing.json")));
    assert!(Path::new(&run).join("routing.html").exists());
    assert_eq!(std::fs::read_to_string(&page).unwrap().matches("<polyline").count(), 2 * 4);
    let (sites, scored) = (analyses[0]["linears"].as_array().unwrap(), analyses[0]["tokens"].as_u64());
    assert_eq!((analyses[0]["benchmark"].as_str(), sites.len()), (Some("copa"), layers * 4));
    assert_eq!((sites[5]["layer"].as_u64(), sites[5]["projection"].as_str()), (Some(1), Some("k_proj")));
    for (site, mean) in sites.iter().zip(report["mean_active_experts_per_site"].as_array().unwrap()) {
        let load: f64 = site["load"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).sum();
        assert!((load - 1.0).abs() < 1e-9 && site["mean_active_experts"] == *mean, "{site}");
        assert!((0.0..0.125).contains(&site["mean_threshold"].as_f64().unwrap()));
        let counts =
            |of: &Value| -> Vec<u64> { of.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect() };
        let (active, thresholds) = (counts(&site["active_histogram"]), counts(&site["threshold_histogram"]["counts"]));
        let sums = (active.iter().sum::<u64>(), thresholds.iter().sum::<u64>());
        assert_eq!((Some(sums.0), Some(sums.1), active.len(), thresholds.len()), (scored, scored, 9, 20));
        let fired: u64 = active.iter().enumerate().map(|(experts, tokens)| experts as u64 * tokens).sum();
        assert!((fired as f64 / sums.0 as f64 - mean.as_f64().unwrap()).abs() < 1e-9, "{site}");
    }
    // A mixture of benchmarks is analysed part by part.
    let mixture = ["--benchmark", "super_glue", "--data", &data, "--routing", &routing];
    succeeds(&[&evaluate[..5], &mixture].concat());
    let parts: Vec<Value> = read(Path::new(&routing)).as_array().unwrap().to_vec();
    let names: Vec<&str> = parts.iter().map(|part| part["benchmark"].as_str().unwrap()).collect();
    assert_eq!(names, ["boolq", "cb", "copa", "rte", "wic"]);
    let table = succeeds(&inspect);
    assert_eq!(table.lines().count(), tokens.len() + 1);
    assert_eq!(std::fs::read_to_string(tokens_page).unwrap().matches("<tr>").count(), tokens.len() + 1);
    std::fs::remove_dir_all(&run).unwrap();
    train(&["--method", "lora"]);
    assert!(!Path::new(&run).join("routing.json").exists());
    fails(&["inspect", &run, "--model", &base, "--text", "x"], 2, &["routes nothing"]);
    fails(&[&evaluate[..], &["--routing", &routing]].concat(), 2, &["routes nothing"]);
}

#[test]
fn every_measurement_gives_finite_positive_numbers() {
    let model = shipped();
    let adapter = ["--method", "adamole", "--num-experts", "4", "--rank", "2"];
    let measure = |what: &str, flags: &[&str], expected: &[&str]| {
        let stdout = succeeds(&[&["bench", what, "--format", "json"], flags].concat());
        let report: Value = serde_json::from_str(&stdout).unwrap();
        for key in expected.iter().chain(&["threads", "peak_memory_bytes"]) {
            let number = report[key].as_f64().unwrap_or(f64::NAN);
            assert!(number.is_finite() && number > 0.0, "{what} {key}: {stdout}");
        }
        report
    };
    let of_model = |flags: &[&'static str]| [&["--model", &model], flags].concat();
    let eval = ["seconds", "items_per_second", "tokens_per_second"];
    let report = measure("eval", &[&of_model(&["--items", "10", "--runs", "2"])[..], &adapter].concat(), &eval);
    assert_eq!((&report["items"], report["method"].as_str()), (&10.into(), Some("adamole")));
    let report = measure("eval", &of_model(&["--base", "--items", "3", "--tokens", "1"]), &eval);
    assert_eq!((&report["tokens"], report["method"].as_str()), (&3.into(), None));

    let generate = ["seconds", "tokens_per_second"];
    let short = ["--prompt-tokens", "3", "--new-tokens", "4"];
    measure("generate", &[&of_model(&short)[..], &adapter].concat(), &generate);
    measure("generate", &of_model(&["--base", "--new-tokens", "4", "--batch", "2"]), &generate);
    let load = ["weights_bytes", "read_seconds", "load_seconds", "first_step_seconds", "beyond_reading_seconds"];
    measure("load", &of_model(&[]), &load);
    let step = ["seconds_per_step", "tokens_per_second", "gigaflop"];
    measure("step", &of_model(&["--steps", "1", "--batch", "2", "--tokens", "8"]), &step);
    let layer = ["--d-in", "12", "--d-out", "10", "--rows", "7"];
    let report = measure("layer", &[&layer[..], &adapter].concat(), &["seconds", "rows_per_second"]);
    assert_eq!((&report["num_experts"], &report["rank"]), (&4.into(), &2.into()));

    fails(&["bench", "layer", "--rows", "0"], 2, &["--rows is 0"]);
    fails(&["bench", "eval", "--model", &model, "--base", "--method", "lora"], 2, &["cannot be used with"]);
}
