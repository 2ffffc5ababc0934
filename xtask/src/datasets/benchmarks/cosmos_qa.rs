//! Cosmos QA: what a short narrative leaves unsaid, four options.

use std::io;

use serde::Serialize;

use crate::datasets::problem::{Problem, Voice, options};
use crate::datasets::random::Random;
use crate::datasets::world::events::EVENTS;
use crate::datasets::world::people::{FEELINGS, MOODS, NAMES};
use crate::datasets::world::with_name;

#[derive(Serialize)]
struct Row<'a> {
    id: String,
    context: &'a str,
    question: &'a str,
    answer0: &'a str,
    answer1: &'a str,
    answer2: &'a str,
    answer3: &'a str,
    label: usize,
}

const NONE: &str = "None of the above choices .";

/// Two people in one narrative: the question is about one of them, the other's lot is among the wrong options.
pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let (name, other) = random.pair(NAMES);
    let (&(happening, feeling), mut other_mood) = random.pair(MOODS);
    while other_mood.1 == feeling {
        other_mood = random.pick(MOODS);
    }
    let (question, context, mut options) = match random.below(3) {
        0 => (
            voice.choose(format!("How is {name} now ?"), format!("How may {name} feel after this ?")),
            [format!("{name} {happening} ."), format!("{other} {} .", other_mood.0)],
            options(random, feeling, FEELINGS.iter().copied(), 4, answer),
        ),
        1 => {
            let pool = MOODS.iter().filter(|&&(_, mood)| mood != feeling).map(|&(happening, _)| happening);
            (
                voice.choose(format!("Why is {name} {feeling} ?"), format!("What made {name} so {feeling} ?")),
                [format!("{name} {happening} ."), format!("{other} {} .", other_mood.0)],
                options(random, happening, pool, 4, answer),
            )
        }
        _ => {
            let (&(cause, effect), _) = random.pair(EVENTS);
            let told = |text: &str| with_name(text, name).replace('.', " .");
            let pool = EVENTS.iter().map(|&(_, effect)| told(effect));
            (
                voice.choose(format!("And then for {name} ?"), format!("What may happen after {name} did this ?")),
                [told(cause), format!("{other} {} .", other_mood.0)],
                options(random, &told(effect), pool, 4, answer),
            )
        }
    };
    if random.chance(25) {
        let wrong = (answer + 1 + random.below(3)) % 4;
        options[wrong] = NONE.to_owned();
    }
    let [mut first, mut second] = context;
    if random.chance(50) {
        std::mem::swap(&mut first, &mut second);
    }
    Problem { topic: String::new(), passage: format!("{first} {second}"), question, options, answer }
}

pub(crate) fn row(problem: &Problem, index: usize) -> io::Result<String> {
    let [answer0, answer1, answer2, answer3] = problem.options.as_slice() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok(serde_json::to_string(&Row {
        id: format!("world-{index:04}"),
        context: &problem.passage,
        question: &problem.question,
        answer0,
        answer1,
        answer2,
        answer3,
        label: problem.answer,
    })?)
}
