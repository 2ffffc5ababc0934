//! CommitmentBank and RTE: does a text entail a hypothesis?

use std::io;

use serde::Serialize;

use crate::problem::{Problem, Voice, fixed};
use crate::random::Random;
use crate::world::capitalised;
use crate::world::people::NAMES;
use crate::world::things::{COLOURS, PLACES, THINGS, Thing};

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
    // A second sentence on another thing: it settles nothing, even where it reports something of its own.
    if random.chance(70) {
        let aside = format!("the {} {verb} {other_value}", other.name);
        let aside = match random.chance(60) {
            true => {
                let (reports, teller) = (*random.pick(&REPORTS), *random.pick(NAMES));
                random.pick(reports).replace("{n}", teller).replace("{c}", &aside)
            }
            false => format!("{}.", capitalised(&aside)),
        };
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

/// Verbs that say that what was to be done was done, and verbs that do not.
const UNDERTAKINGS: [&[&str]; 2] = [
    &["managed to", "was able to", "dared to", "took time to", "was quick to", "came back to"],
    &["failed to", "refused to", "forgot to", "planned to", "hoped to", "was too late to"],
];

/// Who did it used the thing for it. Half of the texts tell of another person's undertaking as well.
pub(crate) fn rte(random: &mut Random, voice: Voice, answer: usize) -> Problem {
    let (name, other) = random.pair(NAMES);
    let (thing, other_thing) = random.pair(THINGS);
    let mut undertaken = |name: &str, thing: &Thing, outcome: usize| {
        format!("{name} {} {} with the {}", random.pick(UNDERTAKINGS[outcome]), thing.purpose, thing.name)
    };
    let told = undertaken(name, thing, answer);
    let aside = undertaken(other, other_thing, 1 - answer);
    let premise = match random.below(4) {
        0 => format!("{told}, but {aside}."),
        1 => format!("{aside}, but {told}."),
        _ => format!("{told}."),
    };
    let hypothesis = format!("{name} used the {}.", thing.name);
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

pub(crate) fn row(problem: &Problem, idx: usize) -> io::Result<String> {
    let Problem { passage, question, answer, .. } = problem;
    Ok(serde_json::to_string(&Row { premise: passage, hypothesis: question, idx, label: *answer })?)
}
