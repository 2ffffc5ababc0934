//! The shipped data from its sources: samples from the generator, the bases from a corpus of the same world.

use crate::{Failure, cargo, datasets, root};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// The bases: for each a `datasets/NAME.toml` with its shape and training, the folder `datasets/NAME`, and how many documents
/// the third stage of its corpus has.
pub(crate) const BASES: [(&str, usize); 3] =
    [("base", datasets::THIRD_STAGE), ("gemma", 3 * datasets::THIRD_STAGE), ("larger", 3 * datasets::THIRD_STAGE)];

/// Writes `datasets/BENCHMARK/*.jsonl`, byte for byte the same on every machine; then pretrains `bases`, or all of them,
/// with the program, unless only samples are asked for. The last bits of a base's weights differ between processors, so it
/// is the validation loss that has to come out the same.
pub(crate) fn run(samples_only: bool, bases: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = bases.iter().find(|base| BASES.iter().all(|(name, _)| name != base)) {
        return Err(format!("base {unknown} is unknown; known: {}", BASES.map(|(name, _)| name).join(", ")).into());
    }
    let folder = root().join("datasets");
    datasets::write_samples(&folder)?;
    eprintln!("samples written to {}", folder.display());
    if samples_only {
        return Ok(());
    }
    let program = cargo::program()?;
    let corpus = root().join("results/corpus");
    fs::create_dir_all(&corpus)?;
    let validation = corpus.join("validation.jsonl");
    datasets::write_validation_corpus(&validation)?;
    for (name, third_stage) in BASES {
        if bases.is_empty() || bases.iter().any(|base| base == name) {
            let train = corpus.join(format!("{name}.jsonl"));
            datasets::write_corpus(&train, third_stage)?;
            pretrain(&program, name, [&train, &validation])?;
        }
    }
    Ok(())
}

/// Makes one base and records how it came out.
fn pretrain(program: &Path, name: &str, [train, validation]: [&Path; 2]) -> Result<(), Failure> {
    let folder = root().join("datasets");
    // Written aside first: a base whose tokenizer is new and whose weights are old would be neither.
    let (base, made) = (folder.join(name), root().join("results/bases").join(name));
    let output = Command::new(program)
        .args(["pretrain", "--format", "json"])
        .args(["--config".as_ref(), folder.join(format!("{name}.toml")).as_os_str()])
        .args(["--corpus".as_ref(), train.as_os_str()])
        .args(["--validation".as_ref(), validation.as_os_str()])
        .args(["--output".as_ref(), made.as_os_str()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("pretraining {name} ended with {}", output.status).into());
    }

    fs::create_dir_all(&base)?;
    for file in fs::read_dir(&made)? {
        let file = file?.path();
        fs::copy(&file, base.join(file.file_name().unwrap_or_default()))?;
    }

    let report: Value = serde_json::from_slice(&output.stdout)?;
    let record = base.join("pretraining.json");
    let recorded = fs::read_to_string(&record).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    println!("{name}: validation loss {}", report["validation_loss"]);
    if let Some(before) = recorded {
        println!("{name}: validation loss before {}", before["validation_loss"]);
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
    fn a_base_is_small_and_made_as_its_definition_says() -> Result<(), Failure> {
        for (name, _) in BASES {
            let folder = root().join("datasets").join(name);
            let bytes: u64 =
                fs::read_dir(&folder)?.map(|file| Ok(file?.metadata()?.len())).sum::<Result<u64, Failure>>()?;
            assert!(bytes < 4_000_000, "{name} takes {bytes} bytes");
            let definition: toml::Table =
                fs::read_to_string(root().join("datasets").join(format!("{name}.toml")))?.parse()?;
            let config: Value = serde_json::from_str(&fs::read_to_string(folder.join("config.json"))?)?;
            for key in ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"] {
                assert_eq!(definition["model"][key].as_integer(), config[key].as_i64(), "{name}: {key}");
            }
        }
        Ok(())
    }

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
