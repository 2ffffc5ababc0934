//! The actions of requests: their wordings, their fields, and how these are drawn.

use serde::Serialize;

use crate::random::Random;
use crate::world::people::NAMES;

/// What a request stands for. Its JSON has the fields in this order.
#[derive(Serialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(super) enum Command {
    Remind { who: &'static str, what: &'static str, day: &'static str, at: String },
    Timer { r#for: &'static str, minutes: usize },
    Light { room: &'static str, percent: usize },
    Buy { item: &'static str, count: usize },
    Tell { who: &'static str, text: &'static str },
}

/// A command, and the words that take the places of its fields in a wording.
pub(super) type Drawn = (Command, Vec<(&'static str, String)>);

/// What can be requested.
pub(super) struct Action {
    /// How it is said, with names of fields in braces.
    pub(super) wordings: &'static [&'static str],
    /// Draws its fields.
    pub(super) draw: fn(&mut Random) -> Drawn,
}

pub(super) const ACTIONS: [Action; 5] = [
    Action {
        wordings: &[
            "Remind {who} to {what} on {day} at {at}.",
            "On {day} at {at}, {who} should be reminded to {what}.",
            "Please see that {who} does not forget to {what}. {day}, {at}.",
            "{who} has to {what} on {day}. A reminder at {at} would be good.",
        ],
        draw: remind,
    },
    Action {
        wordings: &[
            "Set a timer for the {for}, {minutes}.",
            "The {for} needs {minutes}, let me know when it is time.",
            "Wake me in {minutes} for the {for}, please.",
            "Count down {minutes} for the {for}.",
        ],
        draw: timer,
    },
    Action {
        wordings: &[
            "Set the light in the {room} to {percent}.",
            "Could you bring the lights of the {room} to {percent}?",
            "I would like {percent} in the {room}, the light I mean.",
            "{room} lights: {percent}, please.",
        ],
        draw: light,
    },
    Action {
        wordings: &[
            "Put {item} on the list, {count} of them.",
            "We are out of {item}. Get {count}.",
            "Please buy {item}, {count} will do.",
            "Add {item} to the shopping, {count}.",
        ],
        draw: buy,
    },
    Action {
        wordings: &[
            "Tell {who} that {text}.",
            "Let {who} know that {text}.",
            "{who} should hear that {text}.",
            "Could you write to {who} that {text}?",
        ],
        draw: tell,
    },
];

const TASKS: &[&str] = &[
    "water the plants",
    "feed the cat",
    "call the doctor",
    "pay the rent",
    "mend the roof",
    "wash the car",
    "return the book",
    "clean the stove",
    "sweep the yard",
    "order new tyres",
    "pack the tent",
    "send the letter",
    "book a table",
    "charge the phone",
    "renew the ticket",
    "bake a cake",
];

const DAYS: &[(&str, &str)] = &[
    ("Monday", "mon"),
    ("Tuesday", "tue"),
    ("Wednesday", "wed"),
    ("Thursday", "thu"),
    ("Friday", "fri"),
    ("Saturday", "sat"),
    ("Sunday", "sun"),
];

const DISHES: &[&str] = &[
    "stew", "bread", "rice", "tea", "pasta", "cake", "soup", "roast", "pizza", "dough", "laundry", "oven", "pie",
    "jam", "omelette", "risotto",
];

const DURATIONS: &[(&str, usize)] = &[
    ("four minutes", 4),
    ("5 minutes", 5),
    ("ten minutes", 10),
    ("a quarter of an hour", 15),
    ("20 minutes", 20),
    ("twenty-five minutes", 25),
    ("half an hour", 30),
    ("40 minutes", 40),
    ("three quarters of an hour", 45),
    ("an hour", 60),
    ("an hour and a half", 90),
    ("two hours", 120),
];

const ROOMS: &[&str] = &[
    "kitchen", "hall", "bedroom", "bathroom", "office", "garage", "cellar", "attic", "studio", "library", "garden",
    "porch",
];

const LEVELS: &[(&str, usize)] = &[
    ("zero", 0),
    ("a tenth", 10),
    ("20 percent", 20),
    ("a quarter", 25),
    ("thirty percent", 30),
    ("40 percent", 40),
    ("half", 50),
    ("sixty percent", 60),
    ("70 percent", 70),
    ("three quarters", 75),
    ("90 percent", 90),
    ("the full brightness", 100),
];

const GOODS: &[&str] = &[
    "apples",
    "candles",
    "eggs",
    "lemons",
    "matches",
    "nails",
    "onions",
    "pencils",
    "plates",
    "potatoes",
    "socks",
    "stamps",
    "towels",
    "batteries",
    "carrots",
    "cookies",
];

const COUNTS: &[(&str, usize)] = &[
    ("two", 2),
    ("three", 3),
    ("4", 4),
    ("five", 5),
    ("half a dozen", 6),
    ("seven", 7),
    ("8", 8),
    ("nine", 9),
    ("ten", 10),
    ("a dozen", 12),
    ("fifteen", 15),
    ("twenty", 20),
    ("two dozen", 24),
    ("a hundred", 100),
];

const NEWS: &[&str] = &[
    "the soup is ready",
    "the train is late",
    "the key is under the mat",
    "we won the race",
    "the shop is closed",
    "the meeting is off",
    "dinner is at eight",
    "the dog is fine",
    "the bridge is open again",
    "nobody is at home",
    "the parcel has come",
    "it will rain tonight",
    "the lift is broken",
    "the cake is gone",
    "the doctor called",
    "the boat leaves at noon",
];

fn remind(random: &mut Random) -> Drawn {
    let (who, what) = (random.pick(NAMES), random.pick(TASKS));
    let (day, short) = random.pick(DAYS);
    let (at, words) = time(random);
    let command = Command::Remind { who, what, day: short, at };
    (
        command,
        vec![("{who}", who.to_string()), ("{what}", what.to_string()), ("{day}", day.to_string()), ("{at}", words)],
    )
}

/// A time of the day as 24 hours have it, and in words.
fn time(random: &mut Random) -> (String, String) {
    let (hour, half) = (6 + random.below(17), random.chance(40));
    let clock = (hour + 11) % 12 + 1;
    let half_day = if hour < 12 { "am" } else { "pm" };
    match (hour, half) {
        (12, false) => ("12:00".into(), "noon".into()),
        (_, false) => (format!("{hour:02}:00"), format!("{clock} {half_day}")),
        (_, true) => (format!("{hour:02}:30"), format!("half past {clock} {half_day}")),
    }
}

fn timer(random: &mut Random) -> Drawn {
    let (dish, (words, minutes)) = (random.pick(DISHES), random.pick(DURATIONS));
    let words = vec![("{for}", dish.to_string()), ("{minutes}", words.to_string())];
    (Command::Timer { r#for: dish, minutes: *minutes }, words)
}

fn light(random: &mut Random) -> Drawn {
    let (room, (words, percent)) = (random.pick(ROOMS), random.pick(LEVELS));
    let words = vec![("{room}", room.to_string()), ("{percent}", words.to_string())];
    (Command::Light { room, percent: *percent }, words)
}

fn buy(random: &mut Random) -> Drawn {
    let (item, (words, count)) = (random.pick(GOODS), random.pick(COUNTS));
    let words = vec![("{item}", item.to_string()), ("{count}", words.to_string())];
    (Command::Buy { item, count: *count }, words)
}

fn tell(random: &mut Random) -> Drawn {
    let (who, text) = (random.pick(NAMES), random.pick(NEWS));
    (Command::Tell { who, text }, vec![("{who}", who.to_string()), ("{text}", text.to_string())])
}

impl Command {
    /// The part, of five, that the pair of its two main fields belongs to: pairs of one part are in one split.
    pub(super) fn part(&self) -> usize {
        let place = |of: &[&str], word: &str| of.iter().position(|it| *it == word).unwrap_or_default();
        let amount = |of: &[(&str, usize)], count: usize| of.iter().position(|it| it.1 == count).unwrap_or_default();
        let (first, second) = match self {
            Self::Remind { who, what, .. } => (place(NAMES, who), place(TASKS, what)),
            Self::Timer { r#for, minutes } => (place(DISHES, r#for), amount(DURATIONS, *minutes)),
            Self::Light { room, percent } => (place(ROOMS, room), amount(LEVELS, *percent)),
            Self::Buy { item, count } => (place(GOODS, item), amount(COUNTS, *count)),
            Self::Tell { who, text } => (place(NAMES, who), place(NEWS, text)),
        };
        (first + 2 * second) % 5
    }
}
