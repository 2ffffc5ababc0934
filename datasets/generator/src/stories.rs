//! Short stories: what people did, what came of it, how they felt.

use crate::random::Random;
use crate::world::events::{EVENTS, WAYS};
use crate::world::people::{DEEDS, MOODS, NAMES};
use crate::world::things::{COLOURS, PLACES, THINGS};
use crate::world::with_name;

const OPENINGS: &[&str] = &["One day", "Last week", "On Sunday", "In May", "Long ago", "After school"];

pub(crate) fn story(random: &mut Random) -> String {
    let name = random.pick(NAMES);
    let mut sentences = vec![opening(random, name)];
    for _ in 0..2 {
        sentences.push(match random.below(4) {
            0 => event(random, name),
            1 => deed(random, name),
            2 => mood(random, name),
            _ => way(random, name),
        });
    }
    sentences.join(" ")
}

fn opening(random: &mut Random, name: &str) -> String {
    let when = random.pick(OPENINGS);
    let place = random.pick(PLACES);
    let (colour, thing) = (random.pick(COLOURS), random.pick(THINGS).name);
    format!("{when} {name} went to the {place} with the {colour} {thing}. The {thing} was {colour}.")
}

fn event(random: &mut Random, name: &str) -> String {
    let &(cause, effect) = random.pick(EVENTS);
    let (cause, effect) = (with_name(cause, name), with_name(effect, name));
    match random.below(3) {
        0 => format!("{cause} {effect}"),
        1 => format!("{cause} What came of it? {effect}"),
        _ => format!("{effect} What led to it? {cause}"),
    }
}

fn deed(random: &mut Random, name: &str) -> String {
    let deed = random.pick(DEEDS);
    let mut comments = [
        format!("{name} is {}.", deed.character),
        format!("{name} felt {}.", deed.feeling),
        format!("Next {name} wants to {}.", deed.next),
        format!("{name} did it to {}.", deed.reason),
    ];
    random.shuffle(&mut comments);
    format!("{name} {}. {} {}", deed.act, comments[0], comments[1])
}

fn mood(random: &mut Random, name: &str) -> String {
    let (&(happening, feeling), &(other_happening, other_feeling)) = random.pair(MOODS);
    let other = random.pick(NAMES);
    if other == &name {
        return format!("{name} was {feeling} because {name} {happening}.");
    }
    match random.below(2) {
        0 => format!(
            "{name} {happening}, so {name} was {feeling}. {other} {other_happening}, so {other} was {other_feeling}."
        ),
        _ => format!(
            "{name} was {feeling}. Why? {name} {happening}. {other} was {other_feeling}. Why? {other} {other_happening}."
        ),
    }
}

fn way(random: &mut Random, name: &str) -> String {
    let &(goal, way) = random.pick(WAYS);
    match random.below(2) {
        0 => format!("{name} wanted to {goal}. How? You {way}."),
        _ => format!("To {goal}, {way}, said {name}."),
    }
}
