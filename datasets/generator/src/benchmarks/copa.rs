//! COPA: the likelier cause or effect of an event.

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, options};
use crate::random::Random;
use crate::world::events::EVENTS;
use crate::world::people::NAMES;
use crate::world::with_name;

#[derive(Serialize)]
struct Row<'a> {
    premise: &'a str,
    choice1: &'a str,
    choice2: &'a str,
    question: &'a str,
    idx: usize,
    label: usize,
}

pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let &(cause, effect) = random.pick(EVENTS);
    let name = random.pick(NAMES);
    let forwards = random.chance(50);
    let (premise, right) = if forwards { (cause, effect) } else { (effect, cause) };
    let pool = EVENTS.iter().map(|&(cause, effect)| with_name(if forwards { effect } else { cause }, name));
    Problem {
        topic: String::new(),
        passage: with_name(premise, name),
        question: if forwards {
            voice.choose("What came of it?", "effect")
        } else {
            voice.choose("What led to it?", "cause")
        }
        .to_owned(),
        options: options(random, &with_name(right, name), pool, voice.choose(3, 2), answer),
        answer,
    }
}

pub(crate) fn row(problem: &Problem, idx: usize) -> io::Result<String> {
    let Problem { passage, question, options, answer, .. } = problem;
    Ok(serde_json::to_string(&Row {
        premise: passage,
        choice1: &options[0],
        choice2: &options[1],
        question,
        idx,
        label: *answer,
    })?)
}
