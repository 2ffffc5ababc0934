//! The small world: a closed vocabulary and a few hundred facts, from which corpus and benchmarks are drawn.

pub(crate) mod events;
pub(crate) mod nature;
pub(crate) mod people;
pub(crate) mod senses;
pub(crate) mod things;

/// The word with its indefinite article.
pub(crate) fn indefinite(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}

/// The sentence with the person's name in it.
pub(crate) fn with_name(sentence: &str, name: &str) -> String {
    sentence.replace("{n}", name)
}

/// The text with a capital first letter.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
