//! Readers of models and adapters, on a very small model.

use super::scratch::Scratch;
use adamole::core::{AdapterConfig, Lora};
use adamole::llama::{
    AdapterLayout, CausalLm, ModelConfig, Targets, TensorFile, load_adapter, load_base, save_adapter, save_base,
};
use burn::tensor::Device;
use serde_json::json;
use std::fs;

/// A safetensors file: header and values.
pub(super) fn safetensors(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| read_tensors(scratch, bytes));
}

fn read_tensors(scratch: &Scratch, bytes: &[u8]) {
    let path = scratch.write("model.safetensors", bytes);
    let Ok(file) = TensorFile::open(&path) else { return };
    for name in file.names() {
        assert!(file.shape(&name).is_some(), "{name} has a shape");
        drop(file.floats(&name));
        drop(file.integers(&name));
    }
}

/// `model.safetensors.index.json` of a model in two shards.
pub(super) fn shard_index(bytes: &[u8]) {
    thread_local!(static MODEL: Tiny = Tiny::sharded());
    MODEL.with(|tiny| {
        tiny.folder.write("model.safetensors.index.json", bytes);
        drop(load_base(tiny.folder.path(), &tiny.device));
    });
}

/// `config.json`, followed by `generation_config.json`, beside the weights of a model.
pub(super) fn model_config(bytes: &[u8]) {
    thread_local!(static MODEL: Tiny = Tiny::new());
    MODEL.with(|tiny| {
        let (config, generation) = super::halves(bytes);
        tiny.folder.write("config.json", config);
        tiny.folder.write("generation_config.json", generation.unwrap_or(b"{}"));
        if ModelConfig::from_folder(tiny.folder.path()).is_ok() {
            drop(load_base(tiny.folder.path(), &tiny.device));
        }
    });
}

/// `adapter_config.json`, followed by the header of its weights, whose values are zeros.
pub(super) fn adapter_config(bytes: &[u8]) {
    thread_local!(static MODEL: Tiny = Tiny::adapted());
    MODEL.with(|tiny| {
        let (config, header) = super::halves(bytes);
        tiny.folder.write("adapter_config.json", config);
        let weights = header.map_or_else(|| tiny.adapter.clone(), with_zeros);
        tiny.folder.write("adapter_model.safetensors", &weights);
        drop(load_adapter(&mut tiny.model.clone(), tiny.folder.path()));
    });
}

/// A safetensors file with this header and zeros.
fn with_zeros(header: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.resize(file.len() + 4096, 0);
    file
}

/// `adapter_model.bin`: the file, or the pickle in an archive of `torch.save`. The first byte selects.
pub(super) fn pickle(bytes: &[u8]) {
    thread_local!(static MODEL: Tiny = Tiny::pickled());
    let Some((choice, rest)) = bytes.split_first() else { return };
    MODEL.with(|tiny| {
        match choice % 2 {
            0 => tiny.folder.write("adapter_model.bin", rest),
            _ => tiny.folder.write("adapter_model.bin", &archive(rest)),
        };
        drop(load_adapter(&mut tiny.model.clone(), tiny.folder.path()));
    });
}

/// An uncompressed zip with this pickle and one storage of zeros.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let storage = [0; 1024];
    let entries: [(&str, &[u8]); 3] =
        [("archive/data.pkl", pickle), ("archive/version", b"3\n"), ("archive/data/0", &storage)];
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        // Flags, method, time, date; checksum, both sizes; lengths of the name and of the extra field.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        for number in [crc.sum(), data.len() as u32, data.len() as u32, name.len() as u32] {
            common.extend(number.to_le_bytes());
        }
        let offset = file.len() as u32;
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, length) = (file.len() as u32, directory.len() as u32);
    file.extend(directory);
    file.extend(b"PK\x05\x06\x00\x00\x00\x00\x03\x00\x03\x00");
    file.extend(length.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// A model of one layer with a plain LoRA of rank 1 on `q_proj`.
pub(super) fn adapted_tiny() -> CausalLm {
    let mut model = Tiny::new().model;
    let adapter = AdapterConfig::new(Lora, 1, 1.0, 0.05).unwrap_or_else(|error| panic!("{error}"));
    let queries = Targets::try_from(vec!["q_proj".to_owned()]).unwrap_or_else(|error| panic!("{error}"));
    let layout = AdapterLayout::uniform(adapter, &queries, model.config());
    model.adapt(&layout.unwrap_or_else(|error| panic!("{error}")), 0);
    model
}

/// A model of one layer and its folder.
struct Tiny {
    folder: Scratch,
    device: Device,
    model: CausalLm,
    /// The weights of an adapter.
    adapter: Vec<u8>,
}

impl Tiny {
    fn new() -> Self {
        let config = ModelConfig::from_json(&json!({
            "model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 16, "rms_norm_eps": 1e-5,
            "tie_word_embeddings": true, "max_position_embeddings": 32,
        }));
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let (folder, device) = (Scratch::new(), crate::cpu());
        let model = CausalLm::random(config, 1, &device);
        save_base(&model, folder.path()).unwrap_or_else(|error| panic!("{error}"));
        Self { folder, device, model, adapter: Vec::new() }
    }

    /// With an adapter in the folder.
    fn adapted() -> Self {
        let mut tiny = Self::new();
        let mut adapted = tiny.model.clone();
        let layout = AdapterLayout::uniform(crate::shipped::adapter(), &Targets::attention(), adapted.config());
        adapted.adapt(&layout.unwrap_or_else(|error| panic!("{error}")), 0);
        save_adapter(&adapted, None, tiny.folder.path()).unwrap_or_else(|error| panic!("{error}"));
        tiny.adapter = tiny.read("adapter_model.safetensors");
        tiny
    }

    /// With the weights in two files.
    fn sharded() -> Self {
        let tiny = Self::new();
        let weights = tiny.read("model.safetensors");
        tiny.folder.write("a.safetensors", &weights);
        tiny.folder.write("b.safetensors", &weights);
        tiny.remove("model.safetensors");
        tiny
    }

    /// With the config of a plain LoRA, without its weights.
    fn pickled() -> Self {
        let tiny = Self::new();
        let config = br#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}"#;
        tiny.folder.write("adapter_config.json", config);
        tiny
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
