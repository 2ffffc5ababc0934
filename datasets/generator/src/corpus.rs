//! The pretraining corpus: facts, stories and lessons in plain text, one JSON object per line.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::random::Random;
use crate::{facts, lessons, stories};

/// The stages of the corpus, which is read in order.
///
/// Finding an option's letter is the skill that is hardest to learn. A model learns it in so short a training only if the
/// first stage holds little else and few words.
const STAGES: [Stage; 4] = [
    Stage { documents: 140_000, shares: [96, 0, 0, 0, 2, 2, 0] },
    Stage { documents: 50_000, shares: [15, 25, 15, 35, 8, 2, 0] },
    Stage { documents: THIRD_STAGE, shares: [4, 6, 15, 55, 15, 0, 0] },
    Stage { documents: 80_000, shares: [2, 3, 8, 17, 15, 5, 3] },
];

/// Documents of the third stage, in which a model learns to answer a question by a letter.
const THIRD_STAGE: usize = 60_000;

/// A shipped base model: `datasets/NAME.toml` holds its shape and training, `datasets/NAME` its files.
#[derive(Debug, Clone, Copy)]
pub struct Base {
    /// The name of its files.
    pub name: &'static str,
    /// Documents of the third stage of its corpus.
    third_stage: usize,
}

/// The shipped bases. Shapes other than that of the first need a longer third stage.
pub const BASES: [Base; 3] = [
    Base { name: "base", third_stage: THIRD_STAGE },
    Base { name: "gemma", third_stage: 3 * THIRD_STAGE },
    Base { name: "larger", third_stage: 3 * THIRD_STAGE },
];

#[derive(Clone, Copy)]
struct Stage {
    documents: usize,
    /// The percentage of each kind of document; the rest are lessons.
    shares: [usize; 7],
}

#[derive(Serialize)]
struct Document {
    text: String,
}

/// Writes the corpus of a base to `folder` as JSON Lines and returns the paths of its training and validation splits. The
/// validation split is the same for all bases and is drawn like the last stage.
///
/// # Errors
/// A file cannot be written.
pub fn write_corpus(folder: &Path, base: Base) -> io::Result<[PathBuf; 2]> {
    fs::create_dir_all(folder)?;
    let (train, validation) = (folder.join(format!("{}.jsonl", base.name)), folder.join("validation.jsonl"));
    let [first, second, third, last] = STAGES;
    write(&train, 1, &[first, second, Stage { documents: base.third_stage, ..third }, last])?;
    write(&validation, 2, &[Stage { documents: 1_000, ..last }])?;
    Ok([train, validation])
}

fn write(path: &Path, seed: u64, stages: &[Stage]) -> io::Result<()> {
    let mut random = Random::new(seed);
    let mut file = BufWriter::new(File::create(path)?);
    for stage in stages {
        for _ in 0..stage.documents {
            let text = document(&mut random, stage);
            serde_json::to_writer(&mut file, &Document { text })?;
            file.write_all(b"\n")?;
        }
    }
    file.flush()
}

fn document(random: &mut Random, stage: &Stage) -> String {
    let kinds = [
        lessons::letters,
        lessons::more_letters,
        lessons::matching,
        lessons::quick,
        facts::paragraph,
        stories::story,
        lessons::blind,
    ];
    let mut drawn = random.below(100);
    for (kind, share) in kinds.into_iter().zip(stage.shares) {
        if drawn < share {
            return kind(random);
        }
        drawn -= share;
    }
    lessons::lesson(random)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn documents(seed: u64) -> Vec<String> {
        let mut random = Random::new(seed);
        (0..2_000).map(|_| document(&mut random, &STAGES[3])).collect()
    }

    #[test]
    fn the_same_text_twice() {
        assert_eq!(documents(7), documents(7));
    }

    /// The letters behind "Answer:" are as many of each, whatever the list before them says.
    #[test]
    fn a_letter_that_answers_is_any_letter() {
        let texts: Vec<String> = (8..24).flat_map(documents).collect();
        assert!(texts.iter().all(|text| !text.contains("Choices:\n")));
        let count = |letter: &str| texts.iter().filter(|text| text.ends_with(&format!("\nAnswer: {letter}"))).count();
        let (first, second) = (count("A"), count("B"));
        assert!(first > 80 && first.abs_diff(second) * 3 < first, "{first} and {second}");
    }

    #[test]
    fn the_vocabulary_is_closed_and_small() {
        let mut words = BTreeMap::new();
        for text in documents(9) {
            for word in text.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()) {
                *words.entry(word.to_lowercase()).or_insert(0) += 1;
            }
        }
        assert!((600..1_400).contains(&words.len()), "{}", words.len());
    }

    #[test]
    fn a_base_is_small_and_has_the_shape_of_its_definition() -> Result<(), Box<dyn std::error::Error>> {
        let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for Base { name, .. } in BASES {
            let sizes = fs::read_dir(datasets.join(name))?.map(|file| Ok(file?.metadata()?.len()));
            let bytes: u64 = sizes.sum::<io::Result<u64>>()?;
            assert!(bytes < 4_000_000, "{name} takes {bytes} bytes");
            let definition: toml::Table = fs::read_to_string(datasets.join(format!("{name}.toml")))?.parse()?;
            let config = fs::read_to_string(datasets.join(name).join("config.json"))?;
            let config: serde_json::Value = serde_json::from_str(&config)?;
            for key in ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"] {
                assert_eq!(definition["model"][key].as_integer(), config[key].as_i64(), "{name}: {key}");
            }
        }
        Ok(())
    }
}
