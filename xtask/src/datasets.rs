//! `cargo xtask datasets`: the shipped samples from the generator, and the bases, pretrained on its corpus by the program.

use crate::{Failure, cargo, root};
use adamole_dataset_generator::{BASES, write_corpus, write_requests, write_samples};
use clap::Args;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

#[derive(Args)]
pub(crate) struct Options {
    /// Leave the bases as they are
    #[arg(long)]
    samples_only: bool,
    /// Pretrain only these bases
    #[arg(long, value_delimiter = ',', conflicts_with = "samples_only", value_parser = BASES.map(|base| base.name))]
    base: Vec<String>,
}

/// Writes `datasets/BENCHMARK/*.jsonl` and `datasets/text/requests/*.jsonl`, byte for byte the same on every machine, and
/// pretrains the bases. The last bits of a base's weights differ between processors, so its validation loss is what has to
/// come out the same.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let folder = root().join("datasets");
    write_samples(&folder)?;
    write_requests(&folder)?;
    eprintln!("samples written to {}", folder.display());
    if options.samples_only {
        return Ok(());
    }
    let program = cargo::program_for("cpu")?;
    for base in BASES {
        if options.base.is_empty() || options.base.iter().any(|name| name == base.name) {
            let corpus = write_corpus(&root().join("results/corpus"), base)?;
            pretrain(&program, &folder, base.name, &corpus)?;
        }
    }
    Ok(())
}

/// Pretrains one base and records its losses in `pretraining.json`.
fn pretrain(program: &Path, datasets: &Path, name: &str, [train, validation]: &[PathBuf; 2]) -> Result<(), Failure> {
    // Written to another folder first, so that a failure does not leave a new tokenizer beside old weights.
    let (base, output) = (datasets.join(name), root().join("results/bases").join(name));
    let pretrained = Command::new(program)
        .args(["pretrain", "--format", "json"])
        .args(["--config".as_ref(), datasets.join(format!("{name}.toml")).as_os_str()])
        .args(["--corpus".as_ref(), train.as_os_str()])
        .args(["--validation".as_ref(), validation.as_os_str()])
        .args(["--output".as_ref(), output.as_os_str()])
        .stderr(Stdio::inherit())
        .output()?;
    if !pretrained.status.success() {
        return Err(format!("pretraining {name} ended with {}", pretrained.status).into());
    }
    fs::create_dir_all(&base)?;
    for file in fs::read_dir(&output)? {
        let file = file?;
        fs::copy(file.path(), base.join(file.file_name()))?;
    }

    let report: Value = serde_json::from_slice(&pretrained.stdout)?;
    let record = base.join("pretraining.json");
    println!("{name}: validation loss {}", report["validation_loss"]);
    if let Ok(text) = fs::read_to_string(&record) {
        println!("{name}: validation loss before {}", serde_json::from_str::<Value>(&text)?["validation_loss"]);
    }
    let kept = ["parameters", "train_tokens", "train_loss", "validation_loss"];
    let kept: Value = kept.into_iter().map(|key| (key, report[key].clone())).collect();
    Ok(fs::write(record, format!("{kept:#}\n"))?)
}
