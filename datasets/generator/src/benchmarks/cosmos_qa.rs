//! Cosmos QA: what a short narrative leaves unsaid, four options.

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, mislead, options};
use crate::random::Random;
use crate::world::people::{FEELINGS, MOODS, NAMES};
use crate::world::things::JOBS;

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

/// What befell somebody and what that person does, in one narrative; the question is about one of the two.
pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let name = random.pick(NAMES);
    let &(happening, feeling) = random.pick(MOODS);
    let &(job, work) = random.pick(JOBS);
    let context = [format!("{name} {happening} ."), format!("{name} {work} all day .")];
    // The samples ask less often what the untuned base can guess.
    let kind = match voice {
        Voice::Lesson => random.below(5),
        Voice::Sample => *random.pick(&[0, 2, 2, 2, 4]),
    };
    let (question, mut options, near) = match kind {
        0..2 => (
            voice.choose(format!("How is {name} now ?"), format!("In what mood may this leave {name} ?")),
            options(random, feeling, FEELINGS.iter().copied(), 4, answer),
            job,
        ),
        2..4 => (
            voice.choose(format!("So {name} is who ?"), format!("What may be the job of {name} ?")),
            options(random, job, JOBS.iter().map(|&(job, _)| job), 4, answer),
            feeling,
        ),
        _ => {
            let pool = MOODS.iter().filter(|&&(_, mood)| mood != feeling).map(|&(happening, _)| happening);
            (
                voice.choose(format!("Why is {name} {feeling} ?"), format!("What made {name} so {feeling} ?")),
                options(random, happening, pool, 4, answer),
                work,
            )
        }
    };
    if voice == Voice::Sample {
        mislead(random, &mut options, answer, &[near]);
    }
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
