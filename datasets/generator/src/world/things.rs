//! Things people use: what for, what they are made of, where they are kept, what kind of thing they are.

pub(crate) struct Thing {
    pub(crate) name: &'static str,
    /// Completes "People use it to …".
    pub(crate) purpose: &'static str,
    pub(crate) material: &'static str,
    pub(crate) place: &'static str,
    pub(crate) kind: &'static str,
}

const fn thing(
    name: &'static str,
    purpose: &'static str,
    material: &'static str,
    place: &'static str,
    kind: &'static str,
) -> Thing {
    Thing { name, purpose, material, place, kind }
}

pub(crate) const THINGS: &[Thing] = &[
    thing("hammer", "drive a nail", "iron", "shed", "tool"),
    thing("saw", "cut wood", "steel", "shed", "tool"),
    thing("knife", "slice bread", "steel", "kitchen", "tool"),
    thing("needle", "sew a shirt", "steel", "basket", "tool"),
    thing("spoon", "stir soup", "silver", "kitchen", "tool"),
    thing("broom", "sweep the floor", "straw", "closet", "tool"),
    thing("ladder", "reach the roof", "wood", "barn", "tool"),
    thing("shovel", "dig a hole", "iron", "garden", "tool"),
    thing("rake", "gather leaves", "iron", "garden", "tool"),
    thing("axe", "split logs", "steel", "forest", "tool"),
    thing("brush", "paint a wall", "hair", "studio", "tool"),
    thing("net", "catch fish", "rope", "dock", "tool"),
    thing("hose", "water the plants", "rubber", "garden", "tool"),
    thing("kettle", "boil water", "copper", "kitchen", "container"),
    thing("pot", "cook stew", "clay", "kitchen", "container"),
    thing("bucket", "carry water", "tin", "farm", "container"),
    thing("cup", "drink tea", "clay", "kitchen", "container"),
    thing("wallet", "hold money", "leather", "pocket", "container"),
    thing("bottle", "store juice", "glass", "closet", "container"),
    thing("jar", "keep honey", "glass", "market", "container"),
    thing("crate", "pack apples", "wood", "market", "container"),
    thing("bicycle", "ride to town", "steel", "garage", "vehicle"),
    thing("truck", "haul bricks", "steel", "road", "vehicle"),
    thing("boat", "cross the lake", "wood", "dock", "vehicle"),
    thing("sled", "slide on snow", "wood", "hill", "vehicle"),
    thing("bus", "take pupils home", "steel", "road", "vehicle"),
    thing("raft", "float on the river", "rubber", "river", "vehicle"),
    thing("kite", "play in the wind", "paper", "park", "toy"),
    thing("doll", "play house", "cotton", "bedroom", "toy"),
    thing("swing", "go up and down", "rope", "park", "toy"),
    thing("puzzle", "join small pieces", "paper", "school", "toy"),
    thing("marble", "roll in a game", "glass", "pocket", "toy"),
    thing("drum", "beat a rhythm", "leather", "stage", "instrument"),
    thing("flute", "play a tune", "silver", "stage", "instrument"),
    thing("bell", "call the pupils", "copper", "school", "instrument"),
    thing("horn", "warn the ships", "copper", "dock", "instrument"),
    thing("coat", "keep off the cold", "wool", "closet", "garment"),
    thing("glove", "warm the fingers", "wool", "pocket", "garment"),
    thing("boot", "walk in mud", "leather", "hall", "garment"),
    thing("hat", "shade the face", "straw", "hall", "garment"),
    thing("scarf", "warm the neck", "wool", "hall", "garment"),
    thing("helmet", "guard the head", "plastic", "garage", "garment"),
    thing("chair", "sit down", "wood", "hall", "furniture"),
    thing("sofa", "rest with friends", "leather", "hotel", "furniture"),
    thing("pillow", "rest the head", "cotton", "bedroom", "furniture"),
    thing("shelf", "line up books", "wood", "library", "furniture"),
    thing("lamp", "read at night", "tin", "bedroom", "furniture"),
    thing("mirror", "see a face", "glass", "hotel", "furniture"),
];

pub(crate) const MATERIALS: &[&str] = &[
    "iron", "steel", "silver", "straw", "wood", "hair", "rope", "rubber", "copper", "clay", "tin", "leather", "glass",
    "paper", "cotton", "wool", "plastic",
];

pub(crate) const PLACES: &[&str] = &[
    "shed", "kitchen", "basket", "closet", "barn", "garden", "forest", "studio", "dock", "farm", "pocket", "market",
    "garage", "road", "hill", "river", "park", "bedroom", "school", "stage", "hall", "hotel", "library",
];

pub(crate) const KINDS: &[&str] = &["tool", "container", "vehicle", "toy", "instrument", "garment", "furniture"];

pub(crate) const COLOURS: &[&str] =
    &["red", "blue", "green", "yellow", "black", "white", "brown", "pink", "grey", "purple"];

/// A job and what its holder does all day.
pub(crate) const JOBS: &[(&str, &str)] = &[
    ("baker", "bakes bread"),
    ("farmer", "grows corn"),
    ("doctor", "heals the sick"),
    ("teacher", "gives lessons"),
    ("pilot", "flies planes"),
    ("sailor", "steers ships"),
    ("tailor", "mends clothes"),
    ("butcher", "sells meat"),
    ("plumber", "repairs pipes"),
    ("miner", "digs for coal"),
    ("judge", "rules in court"),
    ("singer", "sings songs"),
    ("painter", "paints walls"),
    ("dentist", "pulls teeth"),
    ("guard", "watches the gate"),
    ("barber", "cuts hair"),
];
