//! Python's methods of strings, lists and dictionaries.

use super::{
    arguments::bind,
    entries, integer, items, refused,
    strings::{self, Ends, is_space, strip},
    type_name,
};
use minijinja::{
    Error, ErrorKind, State, Value,
    formatting::{FormatStyle, format},
    value::{Tuple, ValueKind},
};

/// Calls a method of a value.
///
/// # Errors
/// There is no such method, it would change the value, or it does not take these arguments.
pub(super) fn call(_: &mut State<'_, '_>, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => of_string(value.as_str().unwrap_or_default(), method, arguments),
        ValueKind::Map => of_dictionary(value, method, arguments),
        ValueKind::Seq => of_list(value, method, arguments),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn of_dictionary(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match method {
        "get" => {
            let [key, default] = bind(arguments, ["key", "default"])?;
            let key = key.ok_or_else(|| refused("get expects a key"))?;
            let found = value.get_item(&key)?;
            Ok(if found.is_undefined() { default.unwrap_or_else(|| Value::from(())) } else { found })
        }
        "items" | "keys" | "values" | "copy" => {
            let [] = bind(arguments, [])?;
            let entries = entries(value)?.into_iter();
            Ok(match method {
                "items" => entries.map(|(key, value)| Value::from(Tuple::from(vec![key, value]))).collect(),
                "keys" => entries.map(|(key, _)| key).collect(),
                "values" => entries.map(|(_, value)| value).collect(),
                _ => value.clone(),
            })
        }
        "update" | "pop" | "popitem" | "setdefault" | "clear" => Err(unsafe_change(value, method)),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn of_list(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match method {
        "count" | "index" => {
            let [item] = bind(arguments, ["value"])?;
            let item = item.ok_or_else(|| refused(format!("{method} expects a value")))?;
            let items = items(value)?;
            if method == "count" {
                return Ok(Value::from(items.iter().filter(|other| **other == item).count()));
            }
            let found = items.iter().position(|other| *other == item);
            found.map(Value::from).ok_or_else(|| refused("the value is not in the list"))
        }
        "copy" => Ok(value.clone()),
        "append" | "extend" | "insert" | "remove" | "pop" | "clear" | "sort" | "reverse" => {
            Err(unsafe_change(value, method))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn unsafe_change(value: &Value, method: &str) -> Error {
    refused(format!("a template must not change a value: '{}' of a '{}'", method, type_name(value)))
}

fn of_string(text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    if let Some(value) = without_arguments(text, method) {
        let [] = bind(arguments, [])?;
        return Ok(value);
    }
    match method {
        "strip" | "lstrip" | "rstrip" => {
            let [set] = bind(arguments, ["chars"])?;
            let set = optional_text(set)?;
            let ends = Ends { start: method != "rstrip", end: method != "lstrip" };
            Ok(Value::from(strip(text, set.as_deref(), ends)))
        }
        "split" | "rsplit" => split(text, method == "rsplit", arguments),
        "splitlines" => {
            let [keep_ends] = bind(arguments, ["keepends"])?;
            Ok(strings::lines(text, keep_ends.is_some_and(|keep| keep.is_true()))
                .into_iter()
                .map(Value::from)
                .collect())
        }
        "startswith" | "endswith" => starts_or_ends(text, method == "startswith", arguments),
        "find" | "rfind" | "index" | "rindex" | "count" => find(text, method, arguments),
        "replace" => {
            let [old, new, count] = bind(arguments, ["old", "new", "count"])?;
            let (old, new) = (required_text(old)?, required_text(new)?);
            let count = count.map_or(Ok(-1), |count| integer(&count))?;
            Ok(Value::from(match usize::try_from(count) {
                Ok(count) => text.replacen(&old, &new, count),
                Err(_) => text.replace(&old, &new),
            }))
        }
        "join" => {
            let [parts] = bind(arguments, ["iterable"])?;
            let parts = items(&parts.unwrap_or_default())?;
            let texts = parts.iter().map(|part| {
                part.as_str().ok_or_else(|| refused(format!("expected str instance, {} found", type_name(part))))
            });
            Ok(Value::from(texts.collect::<Result<Vec<_>, _>>()?.join(text)))
        }
        "format" => Ok(Value::from(format(FormatStyle::StrFormat, text, arguments)?)),
        "center" | "ljust" | "rjust" | "zfill" => pad(text, method, arguments),
        "partition" | "rpartition" => {
            let [separator] = bind(arguments, ["sep"])?;
            let separator = required_text(separator)?;
            let found =
                if method == "partition" { text.split_once(&*separator) } else { text.rsplit_once(&*separator) };
            let parts = match found {
                Some((before, after)) => [before, &separator, after],
                None if method == "partition" => [text, "", ""],
                None => ["", "", text],
            };
            Ok(Value::from(Tuple::from(parts.map(Value::from).to_vec())))
        }
        "removeprefix" | "removesuffix" => {
            let [affix] = bind(arguments, ["affix"])?;
            let affix = required_text(affix)?;
            let rest = if method == "removeprefix" { text.strip_prefix(&*affix) } else { text.strip_suffix(&*affix) };
            Ok(Value::from(rest.unwrap_or(text)))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// The methods that take no arguments.
fn without_arguments(text: &str, method: &str) -> Option<Value> {
    let all = |is: fn(char) -> bool| Value::from(!text.is_empty() && text.chars().all(is));
    Some(match method {
        "upper" => Value::from(text.to_uppercase()),
        "lower" | "casefold" => Value::from(text.to_lowercase()),
        "title" => Value::from(strings::title(text)),
        "capitalize" => Value::from(strings::capitalize(text)),
        "swapcase" => Value::from(strings::swap_case(text)),
        "isascii" => Value::from(text.is_ascii()),
        "isspace" => all(is_space),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isdigit" | "isdecimal" => all(|character| character.is_ascii_digit()),
        "isnumeric" => all(char::is_numeric),
        "islower" => Value::from(strings::is_cased(text, char::is_lowercase, char::is_uppercase)),
        "isupper" => Value::from(strings::is_cased(text, char::is_uppercase, char::is_lowercase)),
        "istitle" => Value::from(text.chars().any(char::is_uppercase) && strings::title(text) == text),
        _ => return None,
    })
}

fn optional_text(value: Option<Value>) -> Result<Option<String>, Error> {
    match value.filter(|value| !value.is_none()) {
        None => Ok(None),
        value => required_text(value).map(Some),
    }
}

fn required_text(value: Option<Value>) -> Result<String, Error> {
    let value = value.ok_or_else(|| refused("an argument is missing"))?;
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| refused(format!("expected str instance, {} found", type_name(&value))))
}

fn split(text: &str, from_end: bool, arguments: &[Value]) -> Result<Value, Error> {
    let [separator, most] = bind(arguments, ["sep", "maxsplit"])?;
    let most = most.map_or(Ok(-1), |most| integer(&most))?;
    let most = usize::try_from(most).ok();
    let parts: Vec<&str> = match optional_text(separator)?.as_deref() {
        Some("") => return Err(refused("empty separator")),
        None if from_end => strings::split_spaces_from_end(text, most),
        None => strings::split_spaces(text, most),
        Some(separator) => {
            let limit = most.map_or(usize::MAX, |most| most.saturating_add(1));
            let mut parts: Vec<_> = match from_end {
                false => text.splitn(limit, separator).collect(),
                true => text.rsplitn(limit, separator).collect(),
            };
            if from_end {
                parts.reverse();
            }
            parts
        }
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

/// The part of a text between two bounds in characters, and its first character's index.
fn part(text: &str, start: Option<Value>, end: Option<Value>) -> Result<Option<(String, usize)>, Error> {
    let length = text.chars().count() as i64;
    let bound = |value: Option<Value>, default: i64| match value.filter(|value| !value.is_none()) {
        None => Ok(default),
        Some(value) => integer(&value).map(|bound| if bound < 0 { (bound + length).max(0) } else { bound }),
    };
    let (start, end) = (bound(start, 0)?, bound(end, length)?.min(length));
    if start > end {
        return Ok(None);
    }
    let (start, end) = (start as usize, end as usize);
    Ok(Some((text.chars().skip(start).take(end - start).collect(), start)))
}

fn starts_or_ends(text: &str, starts: bool, arguments: &[Value]) -> Result<Value, Error> {
    let [affix, start, end] = bind(arguments, ["prefix", "start", "end"])?;
    let affix = affix.unwrap_or_default();
    let affixes = if affix.is_tuple() { items(&affix)? } else { vec![affix] };
    let affixes = affixes.into_iter().map(|affix| required_text(Some(affix))).collect::<Result<Vec<_>, _>>()?;
    let Some((text, _)) = part(text, start, end)? else { return Ok(Value::from(false)) };
    let found = affixes.iter().any(|affix| if starts { text.starts_with(&**affix) } else { text.ends_with(&**affix) });
    Ok(Value::from(found))
}

fn find(text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let [wanted, start, end] = bind(arguments, ["sub", "start", "end"])?;
    let wanted = required_text(wanted)?;
    let part = part(text, start, end)?;
    if method == "count" {
        return Ok(Value::from(part.map_or(0, |(text, _)| match wanted.is_empty() {
            true => text.chars().count() + 1,
            false => text.matches(&*wanted).count(),
        })));
    }
    let found = part.and_then(|(text, start)| {
        let at = if method.starts_with('r') { text.rfind(&*wanted) } else { text.find(&*wanted) }?;
        Some(start + text[..at].chars().count())
    });
    match found {
        Some(index) => Ok(Value::from(index)),
        None if method.ends_with("find") => Ok(Value::from(-1)),
        None => Err(refused("substring not found")),
    }
}

fn pad(text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let [width, fill] = bind(arguments, ["width", "fillchar"])?;
    let width = super::width(&width.ok_or_else(|| refused(format!("{method} expects a width")))?)?;
    let fill = optional_text(fill)?.unwrap_or_else(|| " ".into());
    let mut characters = fill.chars();
    let (Some(fill), None) = (characters.next(), characters.next()) else {
        return Err(refused("the fill character must be exactly one character long"));
    };
    let missing = width.saturating_sub(text.chars().count());
    let padding = |fill: char| fill.to_string().repeat(missing);
    Ok(Value::from(match method {
        "center" => strings::center(text, width, fill),
        "ljust" => text.to_owned() + &padding(fill),
        "rjust" => padding(fill) + text,
        _ => {
            let sign = usize::from(text.starts_with(['-', '+']));
            format!("{}{}{}", &text[..sign], padding('0'), &text[sign..])
        }
    }))
}
