//! The shipped data from its sources: samples from the generator, the base from a corpus of the same world.

use crate::{Failure, cargo, datasets, root};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
};

/// Writes `datasets/BENCHMARK/*.jsonl`, byte for byte the same on every machine; then, unless only samples are asked
/// for, pretrains `datasets/base` with the program. The last bits of its weights differ between processors, so it is
/// the validation loss that has to come out the same.
pub(crate) fn run(samples_only: bool) -> Result<(), Failure> {
    let folder = root().join("datasets");
    datasets::write_samples(&folder)?;
    eprintln!("samples written to {}", folder.display());
    if samples_only {
        return Ok(());
    }
    let program = cargo::program()?;
    let corpus = root().join("results/corpus");
    fs::create_dir_all(&corpus)?;
    let (train, validation) = (corpus.join("train.jsonl"), corpus.join("validation.jsonl"));
    datasets::write_corpus(&train, &validation)?;
    // Written aside first: a base whose tokenizer is new and whose weights are old would be neither.
    let (base, made) = (folder.join("base"), root().join("results/base"));
    let output = Command::new(program)
        .args(["pretrain", "--format", "json"])
        .args(["--config".as_ref(), folder.join("base.toml").as_os_str()])
        .args(["--corpus".as_ref(), train.as_os_str()])
        .args(["--validation".as_ref(), validation.as_os_str()])
        .args(["--output".as_ref(), made.as_os_str()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("pretraining ended with {}", output.status).into());
    }

    for file in fs::read_dir(&made)? {
        let file = file?.path();
        fs::copy(&file, base.join(file.file_name().unwrap_or_default()))?;
    }

    let report: Value = serde_json::from_slice(&output.stdout)?;
    let record = base.join("pretraining.json");
    let recorded = fs::read_to_string(&record).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    println!("validation loss {}", report["validation_loss"]);
    if let Some(before) = recorded {
        println!("validation loss before {}", before["validation_loss"]);
    }
    let kept = ["parameters", "train_tokens", "train_loss", "validation_loss"];
    let kept: serde_json::Map<String, Value> =
        kept.map(|key| (key.to_owned(), report[key].clone())).into_iter().collect();
    Ok(fs::write(record, format!("{:#}\n", Value::Object(kept)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_samples_are_those_of_the_generator() -> Result<(), Failure> {
        let folder = std::env::temp_dir().join(format!("adamole-samples-{}", std::process::id()));
        datasets::write_samples(&folder)?;
        let mut compared = 0;
        for benchmark in fs::read_dir(&folder)? {
            for file in fs::read_dir(benchmark?.path())? {
                let file = file?.path();
                let name = file.strip_prefix(&folder)?;
                assert!(fs::read(&file)? == fs::read(root().join("datasets").join(name))?, "{}", name.display());
                compared += 1;
            }
        }
        assert_eq!(compared, 30);
        Ok(fs::remove_dir_all(folder)?)
    }
}
