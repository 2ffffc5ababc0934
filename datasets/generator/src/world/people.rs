//! People: what they do, what it tells of them, what moves them, and what makes them feel as they do.

pub(crate) const NAMES: &[&str] = &[
    "Tom", "Mia", "Sam", "Ann", "Leo", "Eva", "Max", "Ida", "Ben", "Zoe", "Jack", "Lily", "Paul", "Nora", "Carl",
    "Rosa", "Finn", "Ella", "Hugo", "Jane", "Omar", "Vera", "Ivan", "Ruth",
];

/// Something a person does to or for others; every text follows the person's name.
pub(crate) struct Deed {
    pub(crate) act: &'static str,
    pub(crate) character: &'static str,
    pub(crate) feeling: &'static str,
    /// Completes "… wants to".
    pub(crate) next: &'static str,
    /// Completes "… did it to".
    pub(crate) reason: &'static str,
}

const fn deed(
    act: &'static str,
    character: &'static str,
    feeling: &'static str,
    next: &'static str,
    reason: &'static str,
) -> Deed {
    Deed { act, character, feeling, next, reason }
}

pub(crate) const DEEDS: &[Deed] = &[
    deed("gave a coat to a cold man", "kind", "proud", "buy him soup", "keep him warm"),
    deed("ran into the fire for a child", "brave", "relieved", "see a doctor", "save a life"),
    deed("lay on the sofa all day", "lazy", "bored", "get up at last", "avoid work"),
    deed("yelled at the waiter", "rude", "ashamed", "say sorry", "get food faster"),
    deed("left the stove on", "careless", "worried", "hurry home", "save a minute"),
    deed("fixed the engine with a pin", "clever", "proud", "start the engine", "drive again"),
    deed("gave back the lost wallet", "honest", "glad", "go on shopping", "help the owner"),
    deed("took all the cookies", "greedy", "sick", "hide the plate", "fill the belly"),
    deed("hid behind the curtain", "shy", "nervous", "stay unseen", "avoid the guests"),
    deed("waited two hours in line", "patient", "tired", "find a seat", "see the show"),
    deed("broke the new toy of a friend", "jealous", "guilty", "mend the toy", "hurt a friend"),
    deed("paid for the whole dinner", "generous", "glad", "leave a tip", "treat the guests"),
    deed("shared the last sandwich", "kind", "hungry", "cook a meal", "feed a friend"),
    deed("climbed the tall mast", "brave", "dizzy", "climb down", "free the sail"),
    deed("let the dishes pile up", "lazy", "ashamed", "wash the dishes", "watch a film"),
    deed("pushed to the front", "rude", "guilty", "go to the back", "be the first"),
    deed("spilled ink on the carpet", "careless", "sorry", "scrub the carpet", "write in bed"),
    deed("solved the hard riddle", "clever", "happy", "try a harder riddle", "win the prize"),
    deed("told the truth about the vase", "honest", "relieved", "pay for the vase", "keep a promise"),
    deed("kept all the prize money", "greedy", "lonely", "count the money", "get rich"),
    deed("spoke in a very low voice", "shy", "nervous", "leave the party", "stay unheard"),
    deed("taught the slow pupil again", "patient", "calm", "check the homework", "make it clear"),
    deed("spread lies about the winner", "jealous", "bitter", "win the next race", "spoil the victory"),
    deed("gave away the old house", "generous", "happy", "move to town", "house the poor"),
];

/// Something that happens to a person, and the feeling it leaves.
pub(crate) const MOODS: &[(&str, &str)] = &[
    ("won the race", "happy"),
    ("got a new puppy", "happy"),
    ("found a lost ring", "happy"),
    ("lost the old dog", "sad"),
    ("said goodbye to a friend", "sad"),
    ("failed the exam", "sad"),
    ("heard a noise in the dark", "scared"),
    ("met a bear in the woods", "scared"),
    ("saw a ghost in the attic", "scared"),
    ("was robbed on the street", "angry"),
    ("was cheated in the shop", "angry"),
    ("got a wrong bill", "angry"),
    ("worked for two days", "tired"),
    ("carried stones uphill", "tired"),
    ("did not sleep at all", "tired"),
    ("had nothing to do", "bored"),
    ("sat through a long speech", "bored"),
    ("stared at a blank wall", "bored"),
    ("got a gift from a stranger", "surprised"),
    ("saw snow in summer", "surprised"),
    ("found a fish in the bath", "surprised"),
    ("tore a dress on stage", "ashamed"),
    ("was caught in a lie", "ashamed"),
    ("forgot the words of the song", "ashamed"),
];

pub(crate) const FEELINGS: &[&str] = &["happy", "sad", "scared", "angry", "tired", "bored", "surprised", "ashamed"];
