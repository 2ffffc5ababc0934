//! Filters and conversions of numbers.

use super::{arguments::bind, refused};
use minijinja::{
    Error, Value,
    value::{Rest, ValueKind, ValueOrKwargs},
};

/// `int(default=0, base=10)`: what cannot be converted is the default.
pub(super) fn int(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [default, base] = bind(&arguments.into_values(), ["default", "base"])?;
    let base = base.map_or(Ok(10), |base| super::integer(&base))?;
    let converted = match value.as_str() {
        Some(text) => parse_integer(text, base).or_else(|| truncated(parse_float(text)?)),
        None => match value.kind() {
            ValueKind::Bool => Some(i128::from(value.is_true())),
            ValueKind::Number if value.is_integer() => return Ok(value.clone()),
            ValueKind::Number => truncated(f64::try_from(value.clone())?),
            ValueKind::Undefined => return Err(refused("an undefined value cannot be converted to an integer")),
            _ => None,
        },
    };
    Ok(converted.map_or_else(|| default.unwrap_or_else(|| Value::from(0)), smallest))
}

/// `float(default=0.0)`: what cannot be converted is the default.
pub(super) fn float(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [default] = bind(&arguments.into_values(), ["default"])?;
    let converted = match value.as_str() {
        Some(text) => parse_float(text),
        None => match value.kind() {
            ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
            ValueKind::Number => Some(f64::try_from(value.clone())?),
            ValueKind::Undefined => return Err(refused("an undefined value cannot be converted to a float")),
            _ => None,
        },
    };
    Ok(converted.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
}

fn smallest(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::from(value), Value::from)
}

fn truncated(value: f64) -> Option<i128> {
    (value.abs() < 1e38).then_some(value as i128)
}

/// Python's `int(text, base)`.
fn parse_integer(text: &str, base: i64) -> Option<i128> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_lowercase();
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find_map(|(prefix, its_base)| {
        (base == its_base || base == 0).then(|| lower.strip_prefix(prefix)).flatten().map(|rest| (rest, its_base))
    });
    let (digits, base) = prefixed.unwrap_or((&lower, if base == 0 { 10 } else { base }));
    if digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") || digits.starts_with(['+', '-']) {
        return None;
    }
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base))?;
    Some(sign * i128::from_str_radix(&digits.replace('_', ""), base).ok()?)
}

/// Python's `float(text)`.
fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    text.replace('_', "").parse().ok()
}
