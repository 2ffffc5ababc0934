//! BoolQ: a yes-or-no question about a short passage.

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, fixed};
use crate::random::Random;
use crate::world::nature::ANIMALS;
use crate::world::things::{COLOURS, PLACES, THINGS};
use crate::world::{capitalised, indefinite};

#[derive(Serialize)]
struct Row<'a> {
    question: &'a str,
    passage: &'a str,
    idx: usize,
    label: usize,
}

/// Is a thing or an animal of a kind? The passage says where it was seen; a false claim names the kind of something else.
pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let kinds: Vec<(&str, &str)> = match random.chance(50) {
        true => ANIMALS.iter().map(|animal| (animal.name, animal.class)).collect(),
        false => THINGS.iter().map(|thing| (thing.name, thing.kind)).collect(),
    };
    let (&(name, kind), mut other) = random.pair(&kinds);
    while other.1 == kind {
        other = random.pick(&kinds);
    }
    let claimed = indefinite(if answer == 1 { kind } else { other.1 });
    let (place, colour) = (random.pick(PLACES), random.pick(COLOURS));
    let facts = format!("There was {} {name} in the {place}.", indefinite(colour));
    Problem {
        topic: name.to_owned(),
        passage: voice.choose(facts.clone(), format!("{} -- {facts}", capitalised(name))),
        question: voice.choose(format!("Was it {claimed}?"), format!("is the {name} {claimed}")),
        options: fixed(&["No", "Yes"]),
        answer,
    }
}

pub(crate) fn row(problem: &Problem, idx: usize) -> io::Result<String> {
    let Problem { question, passage, answer, .. } = problem;
    Ok(serde_json::to_string(&Row { question, passage, idx, label: *answer })?)
}
