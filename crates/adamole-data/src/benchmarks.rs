//! The benchmarks, each a table entry and the function that reads its rows.

mod ai2_arc;
mod boolq;
mod cb;
mod commonsense_qa;
mod copa;
mod cosmos_qa;
mod multirc;
mod openbookqa;
mod piqa;
mod rte;
mod scienceqa;
mod social_i_qa;
mod wic;
mod wsc;

use crate::item::Question;
use crate::row::{Row, RowError};
use crate::{DataError, Split};

/// A benchmark: where it is published, and how its rows become multiple-choice prompts.
///
/// Prompts are those of the AdaMoLE paper's published code (arXiv:2405.00361), character for character.
#[derive(Debug)]
#[non_exhaustive]
pub struct Benchmark {
    /// The short name, as in `boolq`.
    pub name: &'static str,
    /// Where the Hugging Face hub has it, as in `super_glue`.
    pub hub_id: &'static str,
    /// The hub's configuration, where the data set has several.
    pub hub_config: Option<&'static str>,
    /// The splits that are published.
    pub splits: &'static [Split],
    /// Those of them that are published with labels.
    pub labelled_splits: &'static [Split],
    /// Over how many letters the published code scores every item. Ours are scored over the item's own choices;
    /// the two differ for ScienceQA alone, whose items have two to five choices.
    pub published_num_choices: usize,
    /// Reads a row; `None` for one that is left out because its question is about an image.
    pub(crate) question: fn(&Row<'_>) -> Result<Option<Question>, RowError>,
}

const ALL_SPLITS: &[Split] = &[Split::Train, Split::Validation, Split::Test];
const TRAIN_AND_VALIDATION: &[Split] = &[Split::Train, Split::Validation];

impl Benchmark {
    /// The ten of the paper's main table, in its order, then the four more that its published code formats.
    pub const ALL: &'static [Self] = &[
        commonsense_qa::COMMONSENSE_QA,
        cosmos_qa::COSMOS_QA,
        social_i_qa::SOCIAL_I_QA,
        piqa::PIQA,
        scienceqa::SCIENCEQA,
        boolq::BOOLQ,
        cb::CB,
        copa::COPA,
        rte::RTE,
        wic::WIC,
        ai2_arc::AI2_ARC,
        openbookqa::OPENBOOKQA,
        multirc::MULTIRC,
        wsc::WSC,
    ];

    /// The ten of the paper's main table, in its order.
    pub fn of_the_paper() -> &'static [Self] {
        &Self::ALL[..10]
    }

    /// The benchmark called `name`.
    ///
    /// Case, `_` and `-` do not matter, nor does what stands before the last `/`: `ScienceQA`, `science_qa`,
    /// `super_glue/copa` and `tau/commonsense_qa` are all found.
    ///
    /// # Errors
    ///
    /// [`DataError::UnknownBenchmark`] with the nearest name and all names.
    pub fn by_name(name: &str) -> Result<&'static Self, DataError> {
        let wanted = bare(name);
        Self::ALL.iter().find(|benchmark| bare(benchmark.name) == wanted).ok_or_else(|| {
            let known: Vec<&'static str> = Self::ALL.iter().map(|benchmark| benchmark.name).collect();
            let nearest = known.iter().copied().min_by_key(|known| edit_distance(&bare(known), &wanted));
            // Beyond half of the name wrong, a guess is noise.
            let nearest = nearest.filter(|known| edit_distance(&bare(known), &wanted) * 2 <= bare(known).len());
            DataError::UnknownBenchmark { name: name.into(), nearest, known }
        })
    }
}

/// What counts of a name.
fn bare(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Levenshtein's distance: how many characters must be put in, taken out or changed.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::Item;

    /// Reads the rows of `examples`, `{example, prompt, text, answer}` as the published code made them, and compares.
    pub(super) fn assert_as_published(benchmark: &Benchmark, examples: &str) {
        let mut labelled = 0;
        for (i, line) in examples.lines().filter(|line| !line.is_empty()).enumerate() {
            let expected: Map<String, Value> = serde_json::from_str(line).unwrap();
            let item = item(benchmark, &expected["example"]);
            assert_eq!(Value::from(item.prompt_published()), expected["prompt"], "example {i}");
            assert_eq!(benchmark.published_num_choices, expected["num_choices"]);
            // For an unlabelled row the published code takes the last label, or none.
            if let Some(text) = item.text() {
                assert_eq!(Value::from(text), expected["text"], "example {i}");
                let answer = item.answer.map(|answer| item.choices[answer].letter.as_str());
                assert_eq!(answer, expected["answer"].as_str(), "example {i}");
                labelled += 1;
            }
        }
        assert!(labelled > 0, "no labelled example");
    }

    fn item(benchmark: &Benchmark, example: &Value) -> Item {
        let question = (benchmark.question)(&Row::new(example.as_object().unwrap())).unwrap();
        question.expect("a text-only row").into_item(1)
    }

    #[test]
    fn names_are_found_under_their_spellings() {
        for name in ["scienceqa", "science_qa", "ScienceQA", "derek-thomas/ScienceQA"] {
            assert_eq!(Benchmark::by_name(name).unwrap().name, "scienceqa");
        }
        assert_eq!(Benchmark::by_name("super_glue/copa").unwrap().name, "copa");
        assert_eq!(Benchmark::by_name("tau/commonsense_qa").unwrap().name, "commonsense_qa");
        assert_eq!(Benchmark::by_name("social_iqa").unwrap().name, "social_i_qa");
        for benchmark in Benchmark::ALL {
            assert_eq!(Benchmark::by_name(benchmark.name).unwrap().name, benchmark.name);
        }
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let message = Benchmark::by_name("bolq").unwrap_err().to_string();
        assert!(message.contains("did you mean `boolq`?"), "{message}");
        assert!(message.contains("commonsense_qa, cosmos_qa"), "{message}");
        let message = Benchmark::by_name("imagenet").unwrap_err().to_string();
        assert!(!message.contains("did you mean"), "{message}");
    }

    #[test]
    fn distance() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
