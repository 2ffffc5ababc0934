//! An adapter for inference: a base model, the adapter of a folder, a text that grows token by token.
//!
//! `cargo run --release --example inference [-- ADAPTER_FOLDER]` in `crates/adamole`; without a folder it makes one first.

use adamole::{
    core::{AdaMole, AdapterConfig},
    data::Tokenizer,
    generate::{StopStrings, TextGenerator},
    llama::{
        AdapterLayout, Generation, Generator, ModelError, Sampling, SamplingSettings, Targets, end_tokens,
        load_adapter, load_base, save_adapter,
    },
};
use burn::tensor::Device;
use std::{
    error::Error,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base");
    let scratch = tempfile::tempdir()?;
    let given = std::env::args().nth(1).map(PathBuf::from).filter(|folder| folder.is_dir());
    let adapter = given.map_or_else(|| fresh_adapter(&base, scratch.path()), Ok)?;

    let device = Device::default();
    let mut model = load_base(&base, &device)?;
    // Strict: what the folder says is computed, or refused by name; on error the model stays what it was.
    let layout = load_adapter(&mut model, &adapter)?;
    for warning in model.warnings() {
        eprintln!("warning: {warning}");
    }
    eprintln!("{} adapted linears, {} of them routed", layout.iter().count(), model.routed().len());

    let tokenizer = Tokenizer::from_folder(&base)?;
    let prompt = tokenizer.encode_text("Ben blew into the balloon. The")?;
    let sampling = Sampling::new(SamplingSettings { temperature: Some(0.8), top_p: 0.95, ..Default::default() })?;
    let options = Generation { sampling, routing: true, ..Generation::greedy(16, end_tokens(&base)?) };
    let generator = Generator::new(&model, &[prompt], &options, &device)?;
    let mut pieces = 0;
    for step in TextGenerator::continuing(generator, &tokenizer, &StopStrings::new(["\n"])?)? {
        for piece in step? {
            let active = piece.token.routing.as_ref().and_then(|routing| routing.mean_active_experts());
            eprintln!("{:?}: {:.1} active experts on average", piece.text, active.unwrap_or_default());
            pieces += 1;
        }
    }
    assert!(pieces > 0, "a text goes on");
    Ok(())
}

/// An adapter as it is before training, which changes nothing yet.
fn fresh_adapter(base: &Path, folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut model = load_base(base, &Device::default())?;
    let config = AdapterConfig::new(AdaMole { num_experts: 8.try_into()?, tau_max: None }, 4, 16.0, 0.0)?;
    model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), model.config())?, 0);
    save_adapter(&model, None, folder).map_err(|error: ModelError| error)?;
    Ok(folder.to_owned())
}
