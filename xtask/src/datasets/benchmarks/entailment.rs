//! CommitmentBank and RTE: does a text entail a hypothesis?

use std::io;

use serde::Serialize;

use crate::datasets::problem::{Problem, Voice, fixed};
use crate::datasets::random::Random;
use crate::datasets::world::indefinite;
use crate::datasets::world::nature::ANIMALS;
use crate::datasets::world::people::NAMES;
use crate::datasets::world::things::{COLOURS, PLACES, THINGS};

#[derive(Serialize)]
struct Row<'a> {
    premise: &'a str,
    hypothesis: &'a str,
    idx: usize,
    label: usize,
}

/// Ways to report a claim, by what they commit the speaker to: its truth, its falsehood, neither.
const REPORTS: [&[&str]; 3] = [
    &[
        "{n} knows that {c}.",
        "{n} saw that {c}.",
        "It is true that {c}.",
        "{n} is glad that {c}.",
        "{n} forgot that {c}.",
    ],
    &[
        "It is false that {c}.",
        "{n} wrongly says that {c}.",
        "It is not so that {c}.",
        "{n} lied that {c}.",
        "No one thinks that {c}.",
    ],
    &[
        "{n} hopes that {c}.",
        "{n} asks if {c}.",
        "{n} guesses that {c}.",
        "{n} doubts that {c}.",
        "It may be that {c}.",
    ],
];

pub(crate) fn cb(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let (thing, other) = random.pair(THINGS);
    let (values, verb) = if random.chance(50) { (COLOURS, "is") } else { (PLACES, "is in the") };
    let (value, other_value) = random.pair(values);
    let claim = format!("the {} {verb} {value}", thing.name);
    let name = *random.pick(NAMES);
    let mut report = random.pick(REPORTS[answer]).replace("{n}", name).replace("{c}", &claim);
    // A second sentence on another thing, which settles nothing.
    if random.chance(50) {
        let aside = format!("The {} {verb} {other_value}.", other.name);
        report = if random.chance(50) { format!("{aside} {report}") } else { format!("{report} {aside}") };
    }
    Problem {
        topic: String::new(),
        passage: report,
        question: voice.choose(format!("Claim: {claim}. Does the text entail or contradict it?"), claim),
        options: match voice {
            Voice::Lesson if random.chance(40) => fixed(&["It is true", "It is false", "No one can tell"]),
            _ => fixed(&["Entailment", "Contradiction", "Neutral"]),
        },
        answer,
    }
}

pub(crate) fn rte(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let entailed = answer == 0;
    let (name, other) = random.pair(NAMES);
    let (premise, hypothesis) = match random.below(4) {
        0 => kind(random, name, entailed),
        1 => member(random, name, other, entailed),
        2 => place(random, entailed),
        _ => owner(random, name, other, entailed),
    };
    Problem {
        topic: String::new(),
        passage: premise,
        question: voice.choose(format!("Claim: {hypothesis} Does the text entail it?"), hypothesis),
        options: match voice {
            Voice::Lesson if random.chance(40) => fixed(&["It follows", "It does not follow"]),
            _ => fixed(&["Entailment", "Not entailment"]),
        },
        answer,
    }
}

/// What holds of a thing or an animal holds of its kind.
fn kind(random: &mut Random, name: &str, entailed: bool) -> (String, String) {
    let place = random.pick(PLACES);
    let (one, other, verb) = if random.chance(50) {
        let (one, mut other) = random.pair(THINGS);
        while other.kind == one.kind {
            other = random.pick(THINGS);
        }
        ((one.name, one.kind), other.kind, "bought")
    } else {
        let (one, mut other) = random.pair(ANIMALS);
        while other.class == one.class {
            other = random.pick(ANIMALS);
        }
        ((one.name, one.class), other.class, "saw")
    };
    let claimed = if entailed { one.1 } else { other };
    (
        format!("{name} {verb} {} near the {place}.", indefinite(one.0)),
        format!("{name} {verb} {}.", indefinite(claimed)),
    )
}

/// What holds of two people holds of each.
fn member(random: &mut Random, name: &str, other: &str, entailed: bool) -> (String, String) {
    let place = random.pick(PLACES);
    let claimed = if entailed { [name, other][random.below(2)] } else { stranger(random, name, other) };
    (format!("{name} and {other} went to the {place}."), format!("{claimed} went to the {place}."))
}

/// A described thing is still in its place when the description is dropped.
fn place(random: &mut Random, entailed: bool) -> (String, String) {
    let thing = random.pick(THINGS).name;
    let colour = random.pick(COLOURS);
    let (here, there) = random.pair(PLACES);
    let claimed = if entailed { here } else { there };
    (format!("The {colour} {thing} is in the {here}."), format!("The {thing} is in the {claimed}."))
}

/// Who gets a thing has it; who gives it away has not.
fn owner(random: &mut Random, name: &str, other: &str, entailed: bool) -> (String, String) {
    let thing = random.pick(THINGS).name;
    let claimed = if entailed { other } else { name };
    (format!("{name} gave the {thing} to {other}."), format!("{claimed} has the {thing} now."))
}

fn stranger<'a>(random: &mut Random, name: &str, other: &str) -> &'a str {
    loop {
        let candidate = *random.pick(NAMES);
        if candidate != name && candidate != other {
            return candidate;
        }
    }
}

pub(crate) fn row(problem: &Problem, idx: usize) -> io::Result<String> {
    let Problem { passage, question, answer, .. } = problem;
    Ok(serde_json::to_string(&Row { premise: passage, hypothesis: question, idx, label: *answer })?)
}
