//! CommonsenseQA: everyday knowledge of things and jobs, five options.

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, mislead, options};
use crate::random::Random;
use crate::world::indefinite;
use crate::world::things::{JOBS, KINDS, MATERIALS, PLACES, THINGS};

#[derive(Serialize)]
struct Row<'a> {
    id: String,
    question: &'a str,
    question_concept: &'a str,
    choices: Choices<'a>,
    #[serde(rename = "answerKey")]
    answer_key: &'static str,
}

#[derive(Serialize)]
struct Choices<'a> {
    label: [&'static str; 5],
    text: &'a [String],
}

const LABELS: [&str; 5] = ["A", "B", "C", "D", "E"];

pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let thing = random.pick(THINGS);
    let a_thing = indefinite(thing.name);
    // The samples ask less often what the untuned base can guess.
    let kind = match voice {
        Voice::Lesson => random.below(5),
        Voice::Sample => *random.pick(&[0, 1, 1, 2, 2, 3, 4]),
    };
    let (topic, question, mut options, near): (_, _, _, &[&str]) = match kind {
        0 => {
            let question = voice.choose(
                format!("Where do people keep the {}?", thing.name),
                format!("Where would you look for {a_thing}?"),
            );
            (
                thing.name,
                question,
                options(random, thing.place, PLACES.iter().copied(), 5, answer),
                &[thing.material, thing.kind],
            )
        }
        1 => {
            let question = voice.choose(
                format!("The {} is made of what?", thing.name),
                format!("What would you need to make {a_thing}?"),
            );
            (
                thing.name,
                question,
                options(random, thing.material, MATERIALS.iter().copied(), 5, answer),
                &[thing.place, thing.kind],
            )
        }
        2 => {
            let question = voice.choose(
                format!("The {} is what kind of thing?", thing.name),
                format!("What sort of object is {a_thing}?"),
            );
            (
                thing.name,
                question,
                options(random, thing.kind, KINDS.iter().copied(), 5, answer),
                &[thing.place, thing.material],
            )
        }
        3 => {
            let question = voice.choose(
                format!("Which one helps to {}?", thing.purpose),
                format!("With what do you {}?", thing.purpose),
            );
            (
                thing.name,
                question,
                options(random, thing.name, THINGS.iter().map(|thing| thing.name), 5, answer),
                &[thing.place, thing.material],
            )
        }
        _ => {
            let &(job, work) = random.pick(JOBS);
            let question = voice.choose(format!("Who {work} all day?"), format!("Which person {work} at work?"));
            (job, question, options(random, job, JOBS.iter().map(|&(job, _)| job), 5, answer), &[])
        }
    };
    if voice == Voice::Sample {
        mislead(random, &mut options, answer, near);
    }
    Problem { topic: topic.to_owned(), passage: String::new(), question, options, answer }
}

pub(crate) fn row(problem: &Problem, index: usize) -> io::Result<String> {
    Ok(serde_json::to_string(&Row {
        id: format!("world-{index:04}"),
        question: &problem.question,
        question_concept: &problem.topic,
        choices: Choices { label: LABELS, text: &problem.options },
        answer_key: LABELS[problem.answer],
    })?)
}
