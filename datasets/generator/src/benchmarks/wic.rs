//! Words in Context: does a word mean the same in two sentences?

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, fixed};
use crate::random::Random;
use crate::world::people::NAMES;
use crate::world::senses::{WORDS, Word};
use crate::world::with_name;

#[derive(Serialize)]
struct Row<'a> {
    word: &'a str,
    sentence1: String,
    sentence2: String,
    start1: usize,
    start2: usize,
    end1: usize,
    end2: usize,
    idx: usize,
    label: usize,
}

/// The passage holds one sentence a line, the word in angle brackets.
pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let word = random.pick(WORDS);
    let first_sense = random.below(2);
    let second_sense = if answer == 1 { first_sense } else { 1 - first_sense };
    let first = random.below(3);
    // A pair of sentences that a benchmark asks about occurs in no lesson in that order.
    let second = (first + voice.choose(1, 2)) % 3;
    let sentences = [marked(random, word, first_sense, first), marked(random, word, second_sense, second)];
    Problem {
        topic: word.spelling.to_owned(),
        passage: sentences.join("\n"),
        question: format!("Is the meaning of {} the same in both?", word.spelling),
        options: match voice {
            Voice::Lesson if random.chance(40) => fixed(&["Two meanings", "One meaning"]),
            _ => fixed(&["False", "True"]),
        },
        answer,
    }
}

fn marked(random: &mut Random, word: &Word, sense: usize, sentence: usize) -> String {
    let sentence = word.senses[sense].sentences[sentence];
    let name = random.pick(NAMES);
    with_name(sentence, name).replace('_', &format!("<{}>", word.spelling))
}

pub(crate) fn row(problem: &Problem, idx: usize) -> io::Result<String> {
    let (first, second) = problem.passage.split_once('\n').ok_or(io::ErrorKind::InvalidData)?;
    let (sentence1, start1, end1) = unmarked(first).ok_or(io::ErrorKind::InvalidData)?;
    let (sentence2, start2, end2) = unmarked(second).ok_or(io::ErrorKind::InvalidData)?;
    let word = &problem.topic;
    Ok(serde_json::to_string(&Row {
        word,
        sentence1,
        sentence2,
        start1,
        start2,
        end1,
        end2,
        idx,
        label: problem.answer,
    })?)
}

/// The sentence without its brackets, and where the word starts and ends, in code points.
fn unmarked(sentence: &str) -> Option<(String, usize, usize)> {
    let (before, rest) = sentence.split_once('<')?;
    let (word, after) = rest.split_once('>')?;
    let start = before.chars().count();
    Some((format!("{before}{word}{after}"), start, start + word.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offsets_are_those_of_the_word() {
        let mut random = Random::new(3);
        for index in 0..200 {
            let line = row(&problem(&mut random, Voice::Sample, index % 2), index).unwrap();
            let row: serde_json::Value = serde_json::from_str(&line).unwrap();
            for side in ["1", "2"] {
                let at = |field: &str| row[format!("{field}{side}")].as_u64().unwrap() as usize;
                let sentence = row[format!("sentence{side}")].as_str().unwrap();
                let found: String = sentence.chars().take(at("end")).skip(at("start")).collect();
                assert_eq!(found, row["word"].as_str().unwrap());
            }
        }
    }
}
