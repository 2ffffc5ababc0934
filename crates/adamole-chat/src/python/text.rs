//! Values as Python prints them: `str` and `repr`.

use super::{entries, items};
use minijinja::{Value, value::ValueKind};

/// Python's `str` of a value.
pub(crate) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_undefined() => String::new(),
        None => representation(value),
    }
}

/// Python's `repr` of a value.
pub(super) fn representation(value: &Value) -> String {
    let listed = |open: &str, close: &str| {
        let items = items(value).unwrap_or_default();
        let texts: Vec<_> = items.iter().map(representation).collect();
        // A tuple of one item has a comma.
        let comma = if open == "(" && texts.len() == 1 { "," } else { "" };
        format!("{open}{}{comma}{close}", texts.join(", "))
    };
    match value.kind() {
        ValueKind::Undefined => "Undefined".into(),
        ValueKind::None => "None".into(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.into(),
        ValueKind::Number if !value.is_integer() => float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq if value.is_tuple() => listed("(", ")"),
        ValueKind::Seq => listed("[", "]"),
        ValueKind::Map if value.as_object().is_some() => {
            let entries = entries(value).unwrap_or_default();
            let texts: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", representation(key), representation(value)))
                .collect();
            format!("{{{}}}", texts.join(", "))
        }
        _ => value.to_string(),
    }
}

/// A float by the fewest digits that tell it apart, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .into();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// A string in quotes, as Python chooses and escapes them.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut written = String::with_capacity(text.len() + 2);
    written.push(quote);
    for character in text.chars() {
        match character {
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            _ if character == quote => written.extend(['\\', quote]),
            _ if is_printable(character) => written.push(character),
            _ => {
                written += &match u32::from(character) {
                    code @ ..=0xff => format!("\\x{code:02x}"),
                    code @ ..=0xffff => format!("\\u{code:04x}"),
                    code => format!("\\U{code:08x}"),
                }
            }
        }
    }
    written.push(quote);
    written
}

/// Whether Python prints a character as it is: what is neither control, format, private, unassigned nor a separator other
/// than a space. Rust's `Debug` knows the same classes; a character after another is not escaped there for extending it.
fn is_printable(character: char) -> bool {
    let mut after_another = ['a', character].iter().collect::<String>();
    if matches!(character, '\'' | '"') {
        after_another.clear();
    }
    after_another.escape_debug().count() <= 2
}
