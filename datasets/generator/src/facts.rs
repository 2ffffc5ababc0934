//! Plain paragraphs that state the facts of the small world.

use crate::random::Random;
use crate::world::nature::{ANIMALS, OPPOSITES, SUBSTANCES};
use crate::world::people::NAMES;
use crate::world::senses::WORDS;
use crate::world::things::{JOBS, THINGS};
use crate::world::{capitalised, indefinite, with_name};

pub(crate) fn paragraph(random: &mut Random) -> String {
    match random.below(8) {
        0..2 => thing(random),
        2..4 => animal(random),
        4 => job(random),
        5 => substance(random),
        6 => opposite(random),
        _ => senses(random),
    }
}

fn thing(random: &mut Random) -> String {
    let thing = random.pick(THINGS);
    let name = thing.name;
    let mut sentences = [
        format!(
            "{} is {}.",
            capitalised(&indefinite(name)).replacen("An ", "Each ", 1).replacen("A ", "Each ", 1),
            indefinite(thing.kind)
        ),
        format!("The {name} is made of {}.", thing.material),
        format!("Look for the {name} in the {}.", thing.place),
        format!("People use the {name} to {}.", thing.purpose),
        format!("To {}, take the {name}.", thing.purpose),
        format!("You need {} to make the {name}.", thing.material),
    ];
    random.shuffle(&mut sentences);
    sentences[..4].join(" ")
}

fn animal(random: &mut Random) -> String {
    let animal = random.pick(ANIMALS);
    let name = animal.name;
    let mut sentences = [
        format!("The {name} is {}.", indefinite(animal.class)),
        format!("The {name} eats {}.", animal.food),
        format!("The home of the {name} is the {}.", animal.home),
        format!("The {name} lives in the {}.", animal.home),
        format!("The {name} belongs to the {} group.", animal.class),
        format!("The food of the {name} is {}.", animal.food),
    ];
    random.shuffle(&mut sentences);
    sentences[..4].join(" ")
}

fn job(random: &mut Random) -> String {
    let (&(job, work), &(other, other_work)) = random.pair(JOBS);
    let name = random.pick(NAMES);
    format!("The {job} {work}. The {other} {other_work}. {name} is the {job}, so {name} {work} at work.")
}

fn substance(random: &mut Random) -> String {
    let (&(one, state), &(other, other_state)) = random.pair(SUBSTANCES);
    let stated = |name: &str, state: &str| match state {
        "gas" => format!("{} is a gas.", capitalised(name)),
        _ => format!("The {name} here is {state}. Such a thing is a {state}."),
    };
    format!("{} {}", stated(one, state), stated(other, other_state))
}

fn opposite(random: &mut Random) -> String {
    let (&(one, two), &(three, four)) = random.pair(OPPOSITES);
    format!(
        "The opposite of {one} is {two}. What is not {two} is {one}. The reverse of {three} is {four}, and {four} is the opposite of {three}."
    )
}

/// The same word in two or three sentences, each with what it means there.
fn senses(random: &mut Random) -> String {
    let word = random.pick(WORDS);
    let lines: Vec<String> = (0..2 + random.below(2))
        .map(|_| {
            let sense = random.pick(&word.senses);
            let sentence = random.pick(&sense.sentences);
            let name = random.pick(NAMES);
            let spelling = word.spelling;
            let marked = if random.chance(50) { format!("<{spelling}>") } else { spelling.to_owned() };
            let sentence = with_name(sentence, name).replace('_', &marked);
            format!("{sentence} Here {marked} means {}.", sense.gloss)
        })
        .collect();
    lines.join(" ")
}
