//! Python's methods of strings, where Rust's differ.

/// What Python's `str.isspace` takes for a space: Unicode's white space and four separators of ASCII.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// Which ends of a string are stripped.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) start: bool,
    pub(super) end: bool,
}

/// `str.strip`, `lstrip` and `rstrip`: without the characters of a set, or without spaces.
pub(super) fn strip<'a>(text: &'a str, set: Option<&str>, ends: Ends) -> &'a str {
    let matches = |character: char| set.map_or_else(|| is_space(character), |set| set.contains(character));
    let text = if ends.start { text.trim_start_matches(matches) } else { text };
    if ends.end { text.trim_end_matches(matches) } else { text }
}

/// `str.title`: letters after anything but a letter are large, others small.
pub(super) fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut after_letter = false;
    for character in text.chars() {
        match after_letter {
            true => titled.extend(character.to_lowercase()),
            false => titled.extend(title_case(character)),
        }
        after_letter = character.is_lowercase() || character.is_uppercase() || is_title_digraph(character);
    }
    titled
}

/// `str.capitalize`: the first character large, the others small.
pub(super) fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(title_case).into_iter().flatten().collect::<String>() + &characters.as_str().to_lowercase()
}

/// The title case of a character: its upper case, of several characters only the first large.
fn title_case(character: char) -> Vec<char> {
    let digraph = match character {
        '\u{1c4}'..='\u{1c6}' => Some('\u{1c5}'),
        '\u{1c7}'..='\u{1c9}' => Some('\u{1c8}'),
        '\u{1ca}'..='\u{1cc}' => Some('\u{1cb}'),
        '\u{1f1}'..='\u{1f3}' => Some('\u{1f2}'),
        _ => None,
    };
    if let Some(digraph) = digraph {
        return vec![digraph];
    }
    let upper: Vec<char> = character.to_uppercase().collect();
    match upper.as_slice() {
        [first, rest @ ..] if first.is_uppercase() => {
            let rest = rest.iter().flat_map(|character| character.to_lowercase());
            std::iter::once(*first).chain(rest).collect()
        }
        _ => upper,
    }
}

fn is_title_digraph(character: char) -> bool {
    matches!(character, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

/// `str.swapcase`.
pub(super) fn swap_case(text: &str) -> String {
    let swap = |character: char| -> Vec<char> {
        if character.is_uppercase() { character.to_lowercase().collect() } else { character.to_uppercase().collect() }
    };
    text.chars().flat_map(swap).collect()
}

/// `str.splitlines`.
pub(super) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let is_end = |character| {
        matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_end) {
        let first = rest[at..].chars().next().map_or(1, char::len_utf8);
        let end = at + if rest[at..].starts_with("\r\n") { 2 } else { first };
        lines.push(&rest[..if keep_ends { end } else { at }]);
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// `str.split()` at spaces, at most so many times.
pub(super) fn split_spaces(text: &str, most: Option<usize>) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        if most.is_some_and(|most| parts.len() == most) {
            parts.push(rest);
            break;
        }
        let end = rest.find(is_space).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    parts
}

/// `str.rsplit()` at spaces, at most so many times, from the end.
pub(super) fn split_spaces_from_end(text: &str, most: Option<usize>) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() {
        if most.is_some_and(|most| parts.len() == most) {
            parts.push(rest);
            break;
        }
        let last_space = rest.char_indices().rev().find(|(_, character)| is_space(*character));
        let start = last_space.map_or(0, |(at, space)| at + space.len_utf8());
        parts.push(&rest[start..]);
        rest = rest[..start].trim_end_matches(is_space);
    }
    parts.reverse();
    parts
}

/// Where a string is cased: it has a letter of this case and none of the other.
pub(super) fn is_cased(text: &str, of_case: fn(char) -> bool, of_other: fn(char) -> bool) -> bool {
    text.chars().any(of_case) && !text.chars().any(of_other)
}

/// A text in the middle of spaces, with one more at the left where they are odd and the width is too.
pub(super) fn center(text: &str, width: usize, fill: char) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    let spaces = |count| fill.to_string().repeat(count);
    format!("{}{text}{}", spaces(left), spaces(missing - left))
}
