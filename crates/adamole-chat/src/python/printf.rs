//! Python's formatting with `%`.

use super::{items, refused, text::representation};
use minijinja::{
    Error, Value,
    formatting::{FormatStyle, format},
    value::{Kwargs, ValueKind, from_args},
};

/// `pattern % value`: a tuple has a value for each place.
pub(super) fn fill(pattern: &str, value: &Value) -> Result<String, Error> {
    let values = if value.is_tuple() { items(value)? } else { vec![value.clone()] };
    // A dictionary may have more values than there are places.
    let mapping = (value.kind() == ValueKind::Map).then_some(value);
    fill_all(pattern, &values, mapping)
}

/// `pattern % arguments` of a call: by place or by name.
pub(super) fn fill_arguments(pattern: &str, arguments: &[Value]) -> Result<String, Error> {
    let (places, named): (&[Value], Kwargs) = from_args(arguments)?;
    let has_names = named.args().next().is_some();
    if has_names && !places.is_empty() {
        return Err(refused("can't handle positional and keyword arguments at the same time"));
    }
    let mapping = has_names.then(|| Value::from(named));
    fill_all(pattern, places, mapping.as_ref())
}

fn fill_all(pattern: &str, values: &[Value], mapping: Option<&Value>) -> Result<String, Error> {
    let mut filled = String::new();
    let mut values = values.iter();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        filled += &rest[..at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            filled.push('%');
            rest = after;
            continue;
        }
        let mut named = None;
        if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            let mapping = mapping.ok_or_else(|| refused("format requires a mapping"))?;
            named = Some(mapping.get_item(&Value::from(name))?);
            rest = after;
        }
        let length = rest.find(|character: char| character.is_ascii_alphabetic());
        let length = length.ok_or_else(|| refused("incomplete format"))?;
        let (spec, conversion) = (&rest[..length], &rest[length..length + 1]);
        rest = &rest[length + 1..];
        let value = match named {
            Some(value) => value,
            None => values.next().cloned().ok_or_else(|| refused("not enough arguments for format string"))?,
        };
        filled += &match conversion {
            "s" => one(spec, "s", Value::from(super::text(&value)))?,
            "r" => one(spec, "s", Value::from(representation(&value)))?,
            "d" | "i" | "u" => one(spec, "d", whole(value)?)?,
            _ => one(spec, conversion, value)?,
        };
    }
    if mapping.is_none() && values.next().is_some() {
        return Err(refused("not all arguments converted during string formatting"));
    }
    Ok(filled + rest)
}

fn one(spec: &str, conversion: &str, value: Value) -> Result<String, Error> {
    format(FormatStyle::Printf, &format!("%{spec}{conversion}"), &[value])
}

/// A number without its fraction.
fn whole(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Number if !value.is_integer() => {
            let truncated = f64::try_from(value)?.trunc();
            Ok(Value::from(truncated as i128))
        }
        ValueKind::Bool => Ok(Value::from(i64::from(value.is_true()))),
        _ => Ok(value),
    }
}
