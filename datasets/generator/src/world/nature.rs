//! Animals, substances and words: the facts of the science lessons.

pub(crate) struct Animal {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) food: &'static str,
    pub(crate) home: &'static str,
}

const fn animal(name: &'static str, class: &'static str, food: &'static str, home: &'static str) -> Animal {
    Animal { name, class, food, home }
}

pub(crate) const ANIMALS: &[Animal] = &[
    animal("dog", "mammal", "meat", "kennel"),
    animal("cat", "mammal", "fish", "house"),
    animal("cow", "mammal", "grass", "barn"),
    animal("horse", "mammal", "hay", "stable"),
    animal("sheep", "mammal", "clover", "meadow"),
    animal("pig", "mammal", "corn", "sty"),
    animal("rabbit", "mammal", "carrots", "burrow"),
    animal("fox", "mammal", "hens", "den"),
    animal("bear", "mammal", "berries", "cave"),
    animal("monkey", "mammal", "bananas", "jungle"),
    animal("camel", "mammal", "thorns", "desert"),
    animal("mole", "mammal", "worms", "tunnel"),
    animal("hen", "bird", "seeds", "coop"),
    animal("owl", "bird", "mice", "tower"),
    animal("eagle", "bird", "snakes", "cliff"),
    animal("robin", "bird", "worms", "hedge"),
    animal("penguin", "bird", "fish", "ice"),
    animal("swan", "bird", "weeds", "lake"),
    animal("parrot", "bird", "nuts", "jungle"),
    animal("snake", "reptile", "eggs", "desert"),
    animal("lizard", "reptile", "flies", "rocks"),
    animal("turtle", "reptile", "weeds", "beach"),
    animal("crocodile", "reptile", "deer", "swamp"),
    animal("frog", "amphibian", "flies", "pond"),
    animal("toad", "amphibian", "slugs", "ditch"),
    animal("newt", "amphibian", "snails", "pond"),
    animal("trout", "fish", "shrimp", "river"),
    animal("shark", "fish", "squid", "sea"),
    animal("salmon", "fish", "shrimp", "river"),
    animal("eel", "fish", "crabs", "sea"),
    animal("bee", "insect", "nectar", "hive"),
    animal("ant", "insect", "crumbs", "hill"),
    animal("moth", "insect", "wool", "closet"),
    animal("beetle", "insect", "bark", "log"),
];

pub(crate) const CLASSES: &[&str] = &["mammal", "bird", "reptile", "amphibian", "fish", "insect"];

/// A substance and its state at room temperature.
pub(crate) const SUBSTANCES: &[(&str, &str)] = &[
    ("iron", "solid"),
    ("glass", "solid"),
    ("wood", "solid"),
    ("salt", "solid"),
    ("coal", "solid"),
    ("sand", "solid"),
    ("water", "liquid"),
    ("milk", "liquid"),
    ("oil", "liquid"),
    ("juice", "liquid"),
    ("ink", "liquid"),
    ("vinegar", "liquid"),
    ("air", "gas"),
    ("steam", "gas"),
    ("smoke", "gas"),
    ("oxygen", "gas"),
    ("helium", "gas"),
    ("nitrogen", "gas"),
];

pub(crate) const STATES: &[&str] = &["solid", "liquid", "gas"];

pub(crate) const OPPOSITES: &[(&str, &str)] = &[
    ("hot", "cold"),
    ("big", "small"),
    ("fast", "slow"),
    ("high", "low"),
    ("wet", "dry"),
    ("old", "new"),
    ("loud", "quiet"),
    ("full", "empty"),
    ("hard", "soft"),
    ("heavy", "light"),
    ("clean", "dirty"),
    ("rich", "poor"),
    ("strong", "weak"),
    ("thick", "thin"),
    ("early", "late"),
    ("wide", "narrow"),
    ("sweet", "sour"),
    ("near", "far"),
];
