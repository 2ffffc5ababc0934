//! ScienceQA: school questions on animals, substances and words, three or four options.

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, mislead, options};
use crate::random::Random;
use crate::world::indefinite;
use crate::world::nature::{ANIMALS, CLASSES, OPPOSITES, STATES, SUBSTANCES};

#[derive(Serialize)]
struct Row<'a> {
    /// Always null: these are the items without an image.
    image: Option<()>,
    question: &'a str,
    choices: &'a [String],
    answer: usize,
    hint: &'static str,
    task: &'static str,
    grade: &'static str,
    subject: &'static str,
    topic: &'a str,
    category: &'static str,
    skill: &'static str,
    lecture: &'static str,
    solution: String,
}

pub(crate) fn problem(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let count = if answer == 3 { 4 } else { 3 + random.below(2) };
    let animal = random.pick(ANIMALS);
    let name = animal.name;
    let (topic, question, mut options, near): (_, _, _, &[&str]) = match random.below(6) {
        0 => (
            "biology",
            voice.choose(
                format!("The {name} is in which class?"),
                format!("What sort of creature is {}?", indefinite(name)),
            ),
            options(random, animal.class, CLASSES.iter().copied(), count, answer),
            &[animal.food, animal.home],
        ),
        1 => {
            let class = animal.class;
            let pool = ANIMALS.iter().filter(|animal| animal.class != class).map(|animal| animal.name);
            (
                "biology",
                voice.choose(format!("Which one is {}?", indefinite(class)), format!("Name the {class} here.")),
                options(random, name, pool, count, answer),
                &[animal.home],
            )
        }
        2 => (
            "biology",
            voice.choose(format!("What does the {name} eat?"), format!("What is the food of {}?", indefinite(name))),
            options(random, animal.food, ANIMALS.iter().map(|animal| animal.food), count, answer),
            &[animal.home, animal.class],
        ),
        3 => (
            "biology",
            voice.choose(format!("Where does the {name} live?"), format!("What is the home of {}?", indefinite(name))),
            options(random, animal.home, ANIMALS.iter().map(|animal| animal.home), count, answer),
            &[animal.food, animal.class],
        ),
        4 => {
            let &(substance, state) = random.pick(SUBSTANCES);
            let pool = SUBSTANCES.iter().filter(|(_, other)| *other != state).map(|&(substance, _)| substance);
            debug_assert!(STATES.contains(&state));
            (
                "physics",
                voice.choose(format!("Which one is {state}?"), format!("Which of these is a {state}?")),
                options(random, substance, pool, count, answer),
                &[],
            )
        }
        _ => {
            let &(mut word, mut opposite) = random.pick(OPPOSITES);
            if random.chance(50) {
                std::mem::swap(&mut word, &mut opposite);
            }
            let pool = OPPOSITES.iter().flat_map(|&(one, other)| [one, other]).filter(|&other| other != word);
            (
                "vocabulary",
                voice.choose(
                    format!("What is not {word} but the reverse?"),
                    format!("Which word stands against {word}?"),
                ),
                options(random, opposite, pool, count, answer),
                &[],
            )
        }
    };
    if voice == Voice::Sample {
        mislead(random, &mut options, answer, near);
    }
    Problem { topic: topic.to_owned(), passage: String::new(), question, options, answer }
}

pub(crate) fn row(problem: &Problem, _: usize) -> io::Result<String> {
    let Problem { topic, question, options, answer, .. } = problem;
    Ok(serde_json::to_string(&Row {
        image: None,
        question,
        choices: options,
        answer: *answer,
        hint: "",
        task: "closed choice",
        grade: "grade3",
        subject: if topic == "vocabulary" { "language science" } else { "natural science" },
        topic,
        category: "",
        skill: "",
        lecture: "",
        solution: format!("The answer is {}.", problem.right()),
    })?)
}
