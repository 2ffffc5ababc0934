//! GGUF files: every tensor and the metadata, read back. `interop/gguf_files.py` compares what llama.cpp computes of them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdaMole, AdapterConfig, Lora},
    llama::{
        AdapterLayout, CausalLm, GgufSource, GgufType, ModelError, ParameterKind, Targets, TensorFile, load_base,
        merge, save_gguf, save_gguf_adapter,
    },
};
use adamole_tests::{
    cpu,
    gguf_file::{GgufFile, Value},
    golden, shared,
    shipped::datasets,
};
use burn::tensor::TensorData;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

fn source(folder: &Path) -> GgufSource<'_> {
    GgufSource { folder, name: "tiny", bos: Some(0), eos: Some(1), chat_template: Some("{{ messages }}") }
}

fn base() -> PathBuf {
    datasets().join("base")
}

/// The base `bases/{name}` with the tokenizer of the shipped one, whose vocabulary is cut to what the base has rows for.
fn golden_base(name: &str, folder: &Path) -> PathBuf {
    let target = folder.join(name);
    fs::create_dir(&target).unwrap();
    for entry in fs::read_dir(golden("bases").join(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
    }
    let rows = load_base(&target, &cpu()).unwrap().config().vocab_size as u64;
    let mut tokenizer: Json = serde_json::from_slice(&fs::read(base().join("tokenizer.json")).unwrap()).unwrap();
    tokenizer["model"]["vocab"].as_object_mut().unwrap().retain(|_, id| id.as_u64().unwrap() < rows);
    tokenizer["model"]["merges"] = json!([]);
    fs::write(target.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    target
}

fn written(model: &CausalLm, folder: &Path, kind: GgufType) -> GgufFile {
    let output = TempDir::new().unwrap();
    let file = output.path().join("model.gguf");
    save_gguf(model, &source(folder), kind, &file).unwrap();
    assert_eq!(fs::read_dir(output.path()).unwrap().count(), 1, "nothing beside it");
    GgufFile::read(&file)
}

/// Row j of a head and row j + d / 2 are neighbours in llama.cpp; this is the way back.
fn halves(rows: &[f32], heads: usize, height: usize) -> Vec<f32> {
    let (width, half) = (rows.len() / height, height / heads / 2);
    let row = |index: usize| rows[index * width..(index + 1) * width].to_vec();
    (0..height).flat_map(|i| row(i / (2 * half) * 2 * half + i % half * 2 + i / half % 2)).collect()
}

/// The name in llama.cpp, written out.
fn name_there(own: &str) -> String {
    let name = own.replace("model.layers.", "blk.").replace("input_layernorm", "attn_norm");
    let name = name.replace("post_attention_layernorm", "ffn_norm").replace("self_attn.o_proj", "attn_output");
    let name = name.replace("self_attn.", "attn_").replace("mlp.", "ffn_").replace("_proj", "");
    let name = name.replace("model.embed_tokens", "token_embd").replace("model.norm", "output_norm");
    name.replace("lm_head", "output")
}

/// Compares all tensors with those of `model`, within `tolerance` times the largest value of each.
fn compare(file: &GgufFile, model: &CausalLm, tolerance: f32) {
    let mut found: BTreeMap<&str, _> = file.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    found.remove("rope_freqs.weight");
    for (own, data) in model.parameter_values(ParameterKind::Base) {
        let tensor = found.remove(name_there(&own).as_str()).unwrap_or_else(|| panic!("{own} is missing"));
        assert_eq!(tensor.shape, data.shape().iter().copied().collect::<Vec<_>>(), "{own}");
        let heads = match own.rsplit('.').nth(1) {
            Some("q_proj") => Some(model.config().num_attention_heads),
            Some("k_proj") => Some(model.config().num_key_value_heads),
            _ => None,
        };
        let values = heads.map_or(tensor.values.clone(), |heads| halves(&tensor.values, heads, tensor.shape[0]));
        let expected: Vec<f32> = data.iter::<f32>().collect();
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let worst = values.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let tolerance = if tensor.shape.len() == 1 { 0.0 } else { tolerance * largest };
        assert!(worst <= tolerance, "{own} differs by {worst}, of at most {tolerance}");
    }
    assert!(found.is_empty(), "{:?}", found.keys());
}

#[test]
fn every_tensor_is_written_in_every_type() {
    let folder = TempDir::new().unwrap();
    let shapes = ["llama_gqa_s11", "llama_gqa_tied_s12", "llama2_mha_s13", "llama3_short_s15"];
    let folders = shapes.map(|name| golden_base(name, folder.path()));
    for folder in folders.into_iter().chain([base()]) {
        let model = load_base(&folder, &cpu()).unwrap();
        for (kind, number, tolerance) in [
            (GgufType::F32, 0, 0.0),
            (GgufType::F16, 1, 1.0 / 2048.0),
            (GgufType::BF16, 30, 1.0 / 256.0),
            (GgufType::Q8_0, 8, 0.6 / 127.0),
        ] {
            let file = written(&model, &folder, kind);
            compare(&file, &model, tolerance);
            for (name, tensor) in &file.tensors {
                let is_whole = tensor.shape.last().is_some_and(|row| row.is_multiple_of(32));
                let expected = match (tensor.shape.len(), kind) {
                    (1, _) => 0,
                    (_, GgufType::Q8_0) if !is_whole => 1,
                    _ => number,
                };
                assert_eq!(tensor.kind, expected, "{name} in {kind}");
            }
        }
    }
}

#[test]
fn the_wavelengths_of_llama_3_are_a_tensor() {
    let folder = TempDir::new().unwrap();
    let folder = golden_base("llama3_short_s15", folder.path());
    let model = load_base(&folder, &cpu()).unwrap();
    let config: Json = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    let file = written(&model, &folder, GgufType::F16);
    let factors = &file.tensors["rope_freqs.weight"];
    assert_eq!((factors.kind, factors.shape.as_slice()), (0, [model.config().head_dim / 2].as_slice()));
    let (first, last) = (factors.values[0], factors.values[factors.values.len() - 1]);
    let stretched = config["rope_scaling"]["factor"].as_f64().unwrap() as f32;
    assert!(first == 1.0 && (last - stretched).abs() < 1e-4 * stretched, "{:?}", factors.values);
    assert!(file.get("llama.rope.scaling.type").is_none());
}

#[test]
fn the_metadata_of_the_shipped_base_is_that_of_llama_cpp() {
    let model = load_base(&base(), &cpu()).unwrap();
    let file = written(&model, &base(), GgufType::F16);
    let shown = |value: &Value| match value {
        Value::List(list) => format!("{} of {:?}, ..", list.len(), list.iter().take(3).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    };
    let lines: Vec<String> = file.metadata.iter().map(|(key, value)| format!("{key} = {}", shown(value))).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_signs_of_sentence_piece_get_scores_in_the_order_of_merges() {
    let Some(folder) = shared("models/stories260k") else { return };
    let model = load_base(&folder, &cpu()).unwrap();
    let output = TempDir::new().unwrap();
    let path = output.path().join("stories.gguf");
    let source = GgufSource { bos: Some(1), eos: Some(2), chat_template: None, ..source(&folder) };
    save_gguf(&model, &source, GgufType::F32, &path).unwrap();
    let file = GgufFile::read(&path);
    compare(&file, &model, 0.0);
    let list = |key: &str| match file.get(key) {
        Some(Value::List(list)) => list.clone(),
        other => panic!("{key} is {other:?}"),
    };
    let tokens = list("tokenizer.ggml.tokens");
    let of = |token: &str| tokens.iter().position(|other| *other == Value::Text(token.into())).unwrap();
    let (scores, kinds) = (list("tokenizer.ggml.scores"), list("tokenizer.ggml.token_type"));
    // The first two merges.
    assert_eq!([&scores[of("▁t")], &scores[of("he")]], [&Value::F32(0.0), &Value::F32(-1.0)]);
    let kinds: Vec<&Value> = ["<unk>", "<s>", "<0x00>", "he"].into_iter().map(|token| &kinds[of(token)]).collect();
    assert_eq!(kinds, [&Value::I32(2), &Value::I32(3), &Value::I32(6), &Value::I32(1)]);
    for (key, value) in [
        ("tokenizer.ggml.model", Value::Text("llama".into())),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
        ("tokenizer.ggml.add_space_prefix", Value::Bool(true)),
        ("tokenizer.ggml.unknown_token_id", Value::U32(0)),
    ] {
        assert_eq!(file.get(key), Some(&value), "{key}");
    }
    assert!(file.get("tokenizer.chat_template").is_none());
}

/// The shipped base with LoRAs whose values are not zero, one of another scale.
fn adapted() -> CausalLm {
    let mut model = load_base(&base(), &cpu()).unwrap();
    let config = |rank, alpha| AdapterConfig::new(Lora, rank, alpha, 0.0).unwrap();
    let uniform = AdapterLayout::uniform(config(4, 8.0), &Targets::attention(), model.config()).unwrap();
    let layout = uniform.iter().map(|(name, usual)| {
        let is_other = name == "model.layers.1.self_attn.k_proj";
        (name.to_owned(), if is_other { config(2, 32.0) } else { usual.clone() })
    });
    model.adapt(&layout.collect(), 3);
    let folder = TempDir::new().unwrap();
    adamole::llama::save_adapter(&model, None, folder.path()).unwrap();
    let path = folder.path().join("adapter_model.safetensors");
    let file = TensorFile::open(&path).unwrap();
    let tensors: Vec<(String, TensorData)> = file
        .names()
        .into_iter()
        .map(|name| {
            let shape = file.shape(&name).unwrap().to_vec();
            let count = shape.iter().product::<usize>();
            let values = (0..count).map(|i| ((i * 7 + name.len()) as f32 * 0.13).sin() * 0.1).collect::<Vec<_>>();
            (name, TensorData::new(values, shape))
        })
        .collect();
    drop(file);
    adamole::llama::write_tensors(&path, &tensors).unwrap();
    adamole::llama::load_adapter(&mut model, folder.path()).unwrap();
    model
}

#[test]
fn an_adapter_is_to_the_base_what_the_merged_model_is() {
    let model = adapted();
    let output = TempDir::new().unwrap();
    let path = output.path().join("adapter.gguf");
    let count = save_gguf_adapter(&model, &source(&base()), GgufType::F32, &path).unwrap();
    let adapter = GgufFile::read(&path);
    assert_eq!((count * 2, adapter.tensors.len()), (adapter.tensors.len(), 32));
    for (key, value) in [("general.type", "adapter"), ("adapter.type", "lora"), ("general.architecture", "llama")] {
        assert_eq!(adapter.get(key), Some(&Value::Text(value.into())));
    }
    let Some(Value::F32(alpha)) = adapter.get("adapter.lora.alpha") else { panic!("no alpha") };
    let plain = written(&model.clone().without_adapters(), &base(), GgufType::F32);
    let merged = written(&merge(model).unwrap(), &base(), GgufType::F32);
    for (name, expected) in &merged.tensors {
        let mut values = plain.tensors[name].values.clone();
        if let Some(a) = adapter.tensors.get(&format!("{name}.lora_a")) {
            let b = &adapter.tensors[&format!("{name}.lora_b")];
            let (rank, width) = (a.shape[0], a.shape[1]);
            for (index, value) in values.iter_mut().enumerate() {
                let products =
                    (0..rank).map(|r| b.values[index / width * rank + r] * a.values[r * width + index % width]);
                *value += alpha / rank as f32 * products.sum::<f32>();
            }
        }
        let worst = values.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{name} differs by {worst}");
    }
    assert!(plain.tensors.iter().any(|(name, tensor)| tensor.values != merged.tensors[name].values));
}

#[test]
fn a_mixture_is_refused_and_nothing_is_written() {
    let mut model = load_base(&base(), &cpu()).unwrap();
    let method = AdaMole { num_experts: 4.try_into().unwrap(), tau_max: None };
    let config = AdapterConfig::new(method, 2, 4.0, 0.0).unwrap();
    model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), model.config()).unwrap(), 0);
    let output = TempDir::new().unwrap();
    let path = output.path().join("adapter.gguf");
    let error = save_gguf_adapter(&model, &source(&base()), GgufType::F32, &path).unwrap_err();
    assert!(matches!(&error, ModelError::NotMergeable { linear } if linear.ends_with("0.self_attn.q_proj")), "{error}");
    assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0);
}

#[test]
fn what_llama_cpp_computes_in_another_way_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let llama = golden_base("llama_gqa_s11", folder.path());
    let refusal = |folder: &Path| {
        let model = load_base(folder, &cpu()).unwrap();
        let output = TempDir::new().unwrap();
        let error = save_gguf(&model, &source(folder), GgufType::F16, &output.path().join("model.gguf")).unwrap_err();
        assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0, "nothing is written");
        assert!(matches!(error, ModelError::NotInGguf { .. }), "{error}");
        error.to_string()
    };
    let changed = |file: &str, change: &dyn Fn(&mut Json)| {
        let path = llama.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let mut json: Json = serde_json::from_str(&text).unwrap();
        change(&mut json);
        fs::write(&path, json.to_string()).unwrap();
        let refusal = refusal(&llama);
        fs::write(&path, text).unwrap();
        refusal
    };
    let gemma = golden_base("gemma_s14", folder.path());
    assert!(refusal(&gemma).contains("model_type is gemma, expected llama or mistral"));
    type Change = &'static dyn Fn(&mut Json);
    let cases: [(&str, Change, &str); 7] = [
        (
            "config.json",
            &|c| c["rope_scaling"] = json!({"rope_type": "dynamic", "factor": 2.0}),
            "rope_type is dynamic",
        ),
        ("tokenizer.json", &|t| t["normalizer"] = json!({"type": "NFC"}), "normalizer is {\"type\":\"NFC\"}"),
        ("tokenizer.json", &|t| t["pre_tokenizer"] = json!({"type": "Whitespace"}), "pre_tokenizer is"),
        ("tokenizer.json", &|t| t["model"]["ignore_merges"] = json!(true), "model.ignore_merges is true"),
        ("tokenizer.json", &|t| t["model"]["type"] = json!("Unigram"), "model.type is Unigram"),
        ("tokenizer.json", &|t| t["model"]["vocab"]["zz"] = json!(100_000), "the id of zz is 100000"),
        ("tokenizer.json", &|t| t["post_processor"] = json!({"type": "BertProcessing"}), "post_processor is"),
    ];
    for (file, change, expected) in cases {
        let refusal = changed(file, change);
        assert!(refusal.contains(expected) && refusal.contains(file), "{refusal}");
    }
}
