//! BoolQ: a yes-or-no question about a short passage.

use std::io;

use serde::Serialize;

use crate::datasets::problem::{Problem, Voice, fixed};
use crate::datasets::random::Random;
use crate::datasets::world::nature::ANIMALS;
use crate::datasets::world::things::{COLOURS, PLACES};

#[derive(Serialize)]
struct Row<'a> {
    question: &'a str,
    passage: &'a str,
    idx: usize,
    label: usize,
}

/// Two animals differ in colour and place; a false claim takes the other animal's attribute or one not mentioned.
pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let (one, other) = random.pair(ANIMALS);
    let by_colour = random.chance(50);
    let (values, verb) = if by_colour { (COLOURS, "is") } else { (PLACES, "rests in the") };
    let (value, other_value) = random.pair(values);
    let mut facts = [format!("The {} {verb} {value}.", one.name), format!("The {} {verb} {other_value}.", other.name)];
    if random.chance(50) {
        facts.reverse();
    }
    let claimed = match (answer, random.chance(60)) {
        (1, _) => value,
        (_, true) => other_value,
        _ => loop {
            let unseen = random.pick(values);
            if unseen != value {
                break unseen;
            }
        },
    };
    let claim = if by_colour {
        format!("is the {} {claimed}", one.name)
    } else {
        format!("does the {} rest in the {claimed}", one.name)
    };
    let facts = facts.join(" ");
    Problem {
        topic: one.name.to_owned(),
        passage: voice.choose(facts.clone(), format!("{} and {} -- {facts}", one.name, other.name)),
        question: voice.choose(format!("{}?", super::super::world::capitalised(&claim)), claim),
        options: fixed(&["No", "Yes"]),
        answer,
    }
}

pub(crate) fn row(problem: &Problem, idx: usize) -> io::Result<String> {
    let Problem { question, passage, answer, .. } = problem;
    Ok(serde_json::to_string(&Row { question, passage, idx, label: *answer })?)
}
