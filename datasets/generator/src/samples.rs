//! The splits of each benchmark: balanced, and without an item in common.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use crate::benchmarks::{BENCHMARKS, Benchmark};
use crate::problem::{Problem, Voice};
use crate::random::Random;

const SPLITS: [(&str, usize); 3] = [("train", 800), ("validation", 100), ("test", 200)];

/// Writes the samples of every benchmark to `root/<benchmark>/<split>.jsonl`.
///
/// # Errors
/// A folder or file cannot be written.
pub fn write_samples(root: &Path) -> io::Result<()> {
    for benchmark in BENCHMARKS {
        let directory = root.join(benchmark.name);
        fs::create_dir_all(&directory)?;
        for (split, problems) in splits(benchmark) {
            let rows: io::Result<String> = problems
                .iter()
                .enumerate()
                .map(|(index, problem)| Ok((benchmark.row)(problem, index)? + "\n"))
                .collect();
            fs::write(directory.join(format!("{split}.jsonl")), rows?)?;
        }
    }
    Ok(())
}

fn splits(benchmark: &Benchmark) -> Vec<(&'static str, Vec<Problem>)> {
    // One stream per benchmark: a change to one leaves the others' bytes alone.
    let seed = benchmark.name.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random::new(seed);
    let mut seen = BTreeSet::new();
    SPLITS
        .into_iter()
        .map(|(split, size)| {
            let mut answers: Vec<usize> = (0..size).map(|index| index % benchmark.answers).collect();
            random.shuffle(&mut answers);
            let problems = answers
                .into_iter()
                .map(|answer| {
                    loop {
                        let problem = (benchmark.problem)(&mut random, Voice::Sample, answer);
                        if seen.insert(content(&problem)) {
                            break problem;
                        }
                    }
                })
                .collect();
            (split, problems)
        })
        .collect()
}

/// What an item says, whatever the order of its options.
fn content(problem: &Problem) -> String {
    let mut options = problem.options.clone();
    options.sort_unstable();
    format!("{}\n{}\n{}", problem.passage, problem.question, options.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(benchmark: &Benchmark) -> Vec<String> {
        let all = splits(benchmark).into_iter().flat_map(|(_, problems)| problems);
        all.map(|problem| (benchmark.row)(&problem, 0).unwrap()).collect()
    }

    #[test]
    fn the_same_bytes_twice() {
        for benchmark in BENCHMARKS {
            assert_eq!(rows(benchmark), rows(benchmark), "{}", benchmark.name);
        }
    }

    #[test]
    fn the_answers_are_balanced() {
        for benchmark in BENCHMARKS {
            for (split, problems) in splits(benchmark) {
                for answer in 0..benchmark.answers {
                    let share = problems.iter().filter(|problem| problem.answer == answer).count() as f64
                        / problems.len() as f64;
                    let fair = 1.0 / benchmark.answers as f64;
                    assert!((share - fair).abs() < 0.1 * fair, "{} {split}: {share}", benchmark.name);
                }
            }
        }
    }

    #[test]
    fn no_item_is_in_two_splits() {
        for benchmark in BENCHMARKS {
            let all: Vec<String> = splits(benchmark).iter().flat_map(|(_, problems)| problems).map(content).collect();
            let distinct: BTreeSet<&String> = all.iter().collect();
            assert_eq!(distinct.len(), all.len(), "{}", benchmark.name);
        }
    }

    #[test]
    fn the_options_of_an_item_differ() {
        for benchmark in BENCHMARKS {
            for problem in splits(benchmark).iter().flat_map(|(_, problems)| problems) {
                let distinct: BTreeSet<&String> = problem.options.iter().collect();
                assert_eq!(distinct.len(), problem.options.len(), "{}", content(problem));
                assert!(problem.answer < problem.options.len());
            }
        }
    }

    #[test]
    fn rows_are_short() {
        for benchmark in BENCHMARKS {
            for row in rows(benchmark) {
                assert!(row.len() < 500, "{row}");
            }
        }
    }

    #[test]
    fn the_shipped_samples_are_those_of_the_generator() -> io::Result<()> {
        let (folder, shipped) = (tempfile::tempdir()?, Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        write_samples(folder.path())?;
        for (benchmark, (split, _)) in BENCHMARKS.iter().flat_map(|known| SPLITS.map(|split| (known, split))) {
            let name = format!("{}/{split}.jsonl", benchmark.name);
            assert!(fs::read(folder.path().join(&name))? == fs::read(shipped.join(&name))?, "{name}");
        }
        Ok(())
    }
}
