//! Social IQa: what a deed tells of the person who does it, three options.

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, options};
use crate::random::Random;
use crate::world::people::{DEEDS, NAMES};

#[derive(Serialize)]
struct Row<'a> {
    context: &'a str,
    question: &'a str,
    #[serde(rename = "answerA")]
    answer_a: &'a str,
    #[serde(rename = "answerB")]
    answer_b: &'a str,
    #[serde(rename = "answerC")]
    answer_c: &'a str,
    /// "1", "2" or "3".
    label: String,
}

pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let deed = random.pick(DEEDS);
    let name = random.pick(NAMES);
    let (lesson, sample, right, pool): (_, _, _, Vec<&str>) = match random.below(4) {
        0 => (
            format!("What is {name} like?"),
            format!("How would you describe {name}?"),
            deed.character,
            DEEDS.iter().map(|deed| deed.character).collect(),
        ),
        1 => (
            format!("What does {name} feel now?"),
            format!("How would {name} feel afterwards?"),
            deed.feeling,
            DEEDS.iter().map(|deed| deed.feeling).collect(),
        ),
        2 => (
            format!("What comes next for {name}?"),
            format!("What will {name} want to do next?"),
            deed.next,
            DEEDS.iter().map(|deed| deed.next).collect(),
        ),
        _ => (
            format!("What was the aim of {name}?"),
            format!("Why did {name} do this?"),
            deed.reason,
            DEEDS.iter().map(|deed| deed.reason).collect(),
        ),
    };
    Problem {
        topic: String::new(),
        passage: format!("{name} {}.", deed.act),
        question: voice.choose(lesson, sample),
        options: options(random, right, pool, 3, answer),
        answer,
    }
}

pub(crate) fn row(problem: &Problem, _: usize) -> io::Result<String> {
    let [answer_a, answer_b, answer_c] = problem.options.as_slice() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok(serde_json::to_string(&Row {
        context: &problem.passage,
        question: &problem.question,
        answer_a,
        answer_b,
        answer_c,
        label: (problem.answer + 1).to_string(),
    })?)
}
