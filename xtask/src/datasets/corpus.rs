//! The pretraining corpus: facts, stories and lessons in plain text, one document a line of JSON.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::random::Random;
use super::{facts, lessons, stories};

/// The stages of the corpus, which is read in order.
///
/// To find an option's letter is the skill that is hardest to come by. Unless it is met at first almost alone and with
/// few words, the model does not learn it in so short a training.
const STAGES: [Stage; 4] = [
    Stage { documents: 140_000, shares: [96, 0, 0, 0, 2, 2, 0] },
    Stage { documents: 50_000, shares: [15, 25, 15, 35, 8, 2, 0] },
    Stage { documents: THIRD_STAGE, shares: [4, 6, 15, 55, 15, 0, 0] },
    Stage { documents: 80_000, shares: [2, 3, 8, 17, 15, 5, 3] },
];

/// Documents of the third stage where no other number is asked for.
pub(crate) const THIRD_STAGE: usize = 60_000;

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

/// Writes the training split of the corpus, with so many documents in its third stage: there a model comes to answer a
/// question by a letter, and other shapes come to it later than that of the first base.
pub(crate) fn write_corpus(path: &Path, third_stage: usize) -> io::Result<()> {
    let mut stages = STAGES;
    stages[2].documents = third_stage;
    write(path, 1, &stages)
}

/// Writes the validation split, which is like the last stage.
pub(crate) fn write_validation_corpus(path: &Path) -> io::Result<()> {
    let [.., last] = STAGES;
    write(path, 2, &[Stage { documents: 1_000, ..last }])
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
}
