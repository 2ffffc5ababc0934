//! PIQA: the way to reach a household goal, two options.

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, options};
use crate::random::Random;
use crate::world::events::WAYS;
use crate::world::things::THINGS;

#[derive(Serialize)]
struct Row<'a> {
    goal: &'a str,
    sol1: &'a str,
    sol2: &'a str,
    label: usize,
}

pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let count = voice.choose(3, 2);
    let (goal, options) = if random.chance(60) {
        let &(goal, way) = random.pick(WAYS);
        let pool = WAYS.iter().map(|&(_, way)| format!("{way}."));
        (goal, options(random, &format!("{way}."), pool, count, answer))
    } else {
        let thing = random.pick(THINGS);
        let using = |name: &str| format!("take the {name}.");
        let pool = THINGS.iter().map(|thing| using(thing.name));
        (thing.purpose, options(random, &using(thing.name), pool, count, answer))
    };
    let question = match voice {
        Voice::Lesson => format!("How to {goal}?"),
        Voice::Sample if random.chance(50) => format!("To {goal},"),
        Voice::Sample => format!("You want to {goal}."),
    };
    Problem { topic: String::new(), passage: String::new(), question, options, answer }
}

pub(crate) fn row(problem: &Problem, _: usize) -> io::Result<String> {
    let Problem { question, options, answer, .. } = problem;
    Ok(serde_json::to_string(&Row { goal: question, sol1: &options[0], sol2: &options[1], label: *answer })?)
}
