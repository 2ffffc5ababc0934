//! The built-in benchmarks. To add one, add its file to the list here and, if the reference implementation formats it, its rows
//! and their published prompts to `tests/format`.

use std::sync::LazyLock;

use super::Benchmark;
use crate::DataError;

macro_rules! definitions {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../benchmarks/", $name, ".toml")))),*]
    };
}

/// Names and files; mixtures come after their parts.
const DEFINITIONS: [(&str, &str); 15] = definitions![
    "commonsense_qa",
    "cosmos_qa",
    "social_i_qa",
    "piqa",
    "scienceqa",
    "boolq",
    "cb",
    "copa",
    "rte",
    "wic",
    "ai2_arc",
    "openbookqa",
    "multirc",
    "wsc.fixed",
    "super_glue",
];

pub(super) fn all() -> &'static [Benchmark] {
    static ALL: LazyLock<Vec<Benchmark>> = LazyLock::new(|| {
        let mut all = Vec::with_capacity(DEFINITIONS.len());
        for (name, text) in DEFINITIONS {
            // The files are part of the crate and its tests read all of them.
            let benchmark = Benchmark::parse(text, &all);
            all.push(benchmark.unwrap_or_else(|error| panic!("benchmarks/{name}.toml: {error}")));
        }
        all
    });
    &ALL
}

/// The known benchmark called `name`.
pub(super) fn by_name<'a>(known: &'a [Benchmark], name: &str) -> Result<&'a Benchmark, DataError> {
    let wanted = bare(name);
    known.iter().find(|benchmark| bare(&benchmark.name) == wanted).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(|benchmark| benchmark.name.to_string()).collect();
        let distance = |name: &&String| strsim::levenshtein(&bare(name), &wanted);
        // A name of which more than half differs is not a likely misspelling.
        let nearest = names.iter().min_by_key(distance).filter(|name| distance(name) * 2 <= bare(name).len());
        DataError::UnknownBenchmark { name: name.into(), nearest: nearest.cloned(), known: names }
    })
}

/// A name without what is ignored in a comparison.
fn bare(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::Row;

    /// For every benchmark, rows of the hub and what the reference implementation makes of them:
    /// `{example, prompt, text, answer, num_choices}`.
    #[test]
    fn prompts_are_as_published() {
        for benchmark in all().iter().filter(|benchmark| benchmark.parts().len() == 1) {
            let name = benchmark.name();
            let path = format!("{}/tests/format/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
            let mut labelled = 0;
            for (i, line) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
                let expected: Map<String, Value> = serde_json::from_str(line).unwrap();
                let row = Row::new(expected["example"].as_object().unwrap().clone());
                let item = benchmark.question(&row, i + 1).unwrap().expect("a row without an image");
                assert_eq!(Value::from(item.prompt_published()), expected["prompt"], "{name} {i}");
                assert_eq!(Value::from(benchmark.published_letters()), expected["num_choices"], "{name}");
                // For an unlabelled row the reference implementation takes the last label, or none.
                if let Some(text) = item.text() {
                    assert_eq!(Value::from(text), expected["text"], "{name} {i}");
                    let answer = item.answer.map(|answer| item.choices[answer].letter.as_str());
                    assert_eq!(answer, expected["answer"].as_str(), "{name} {i}");
                    labelled += 1;
                }
                if let Some(passage) = item.passage {
                    let values = expected["example"].as_object().unwrap().values();
                    assert!(values.into_iter().any(|value| *value == item.prompt[passage.clone()]), "{name} {i}");
                }
            }
            assert!(labelled > 0, "{name}: no labelled example");
        }
    }

    #[test]
    fn a_question_about_an_image_is_left_out() {
        let row = serde_json::json!({ "image": { "bytes": "", "path": null }, "question": "?" });
        let row = Row::new(row.as_object().unwrap().clone());
        assert_eq!(Benchmark::by_name("scienceqa").unwrap().question(&row, 1), Ok(None));
    }

    #[test]
    fn names_are_found_under_their_spellings() {
        for name in ["scienceqa", "science_qa", "ScienceQA", "derek-thomas/ScienceQA"] {
            assert_eq!(Benchmark::by_name(name).unwrap().name(), "scienceqa");
        }
        assert_eq!(Benchmark::by_name("super_glue/copa").unwrap().name(), "copa");
        assert_eq!(Benchmark::by_name("tau/commonsense_qa").unwrap().name(), "commonsense_qa");
        assert_eq!(Benchmark::by_name("social_iqa").unwrap().name(), "social_i_qa");
        for ((name, _), benchmark) in DEFINITIONS.iter().zip(Benchmark::all()) {
            assert_eq!(*name, benchmark.name());
            assert_eq!(Benchmark::by_name(name).unwrap().name(), *name);
        }
    }

    #[test]
    fn the_papers_mixture_is_of_five() {
        let names: Vec<&str> = Benchmark::by_name("super_glue").unwrap().parts().iter().map(Benchmark::name).collect();
        assert_eq!(names, ["boolq", "cb", "copa", "rte", "wic"]);
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let message = Benchmark::by_name("bolq").unwrap_err().to_string();
        assert!(message.contains("did you mean `boolq`?"), "{message}");
        assert!(message.contains("commonsense_qa, cosmos_qa"), "{message}");
        let message = Benchmark::by_name("imagenet").unwrap_err().to_string();
        assert!(!message.contains("did you mean"), "{message}");
    }
}
