//! Filters of lists, dictionaries and generators.

use super::{arguments::bind, entries, generator::Generator, items, refused, text, type_name};
use minijinja::{
    Environment, Error, State, Value, filters as engine,
    value::{Kwargs, Rest, Tuple, ValueKind, ValueOrKwargs},
};
use std::borrow::Cow;

pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("list", |value: &Value| items(value));
    environment.add_filter("join", join);
    environment.add_filter("items", dictionary_items);
    environment.add_filter("reverse", reverse);
    environment
        .add_filter("first", |value: &Value| items(value).map(|items| items.into_iter().next().unwrap_or_default()));
    environment.add_filter("last", last);
    of_the_engine(environment);
}

/// The engine's filters, for what Python can go over; most of them give generators.
fn of_the_engine(environment: &mut Environment<'_>) {
    type Name<'a> = Cow<'a, str>;
    type Arguments = Rest<ValueOrKwargs>;
    environment.add_filter(
        "select",
        |state: &mut State<'_, '_>, value: &Value, test: Option<Name<'_>>, rest: Arguments| {
            engine::select(state, given(value)?, test, rest).map(Generator::of)
        },
    );
    environment.add_filter(
        "reject",
        |state: &mut State<'_, '_>, value: &Value, test: Option<Name<'_>>, rest: Arguments| {
            engine::reject(state, given(value)?, test, rest).map(Generator::of)
        },
    );
    environment.add_filter(
        "selectattr",
        |state: &mut State<'_, '_>, value: &Value, key: Name<'_>, test: Option<Name<'_>>, rest: Arguments| {
            engine::selectattr(state, given(value)?, key, test, rest).map(Generator::of)
        },
    );
    environment.add_filter(
        "rejectattr",
        |state: &mut State<'_, '_>, value: &Value, key: Name<'_>, test: Option<Name<'_>>, rest: Arguments| {
            engine::rejectattr(state, given(value)?, key, test, rest).map(Generator::of)
        },
    );
    environment.add_filter("map", |state: &mut State<'_, '_>, value: &Value, rest: Arguments| {
        engine::map(state, given(value)?, rest).map(Generator::of)
    });
    environment.add_filter("unique", |state: &mut State<'_, '_>, value: &Value, named: Kwargs| {
        items(&engine::unique(state, listed(value)?, named)?).map(Generator::of)
    });
    environment.add_filter("sort", |state: &mut State<'_, '_>, value: &Value, named: Kwargs| {
        engine::sort(state, listed(value)?, named)
    });
    environment.add_filter("min", |state: &mut State<'_, '_>, value: &Value, named: Kwargs| {
        engine::min(state, listed(value)?, named)
    });
    environment.add_filter("max", |state: &mut State<'_, '_>, value: &Value, named: Kwargs| {
        engine::max(state, listed(value)?, named)
    });
    environment.add_filter("batch", |state: &mut State<'_, '_>, value: &Value, count: usize, fill: Option<Value>| {
        items(&engine::batch(state, listed(value)?, count, fill)?).map(Generator::of)
    });
    environment.add_filter("slice", |state: &mut State<'_, '_>, value: &Value, count: usize, fill: Option<Value>| {
        items(&engine::slice(state, listed(value)?, count, fill)?).map(Generator::of)
    });
}

/// The items as a list, for a filter that takes what is false for an empty list, whatever it is.
fn given(value: &Value) -> Result<Value, Error> {
    if value.is_true() { listed(value) } else { Ok(Value::from(Vec::<Value>::new())) }
}

/// The items as a list, for a filter of the engine.
fn listed(value: &Value) -> Result<Value, Error> {
    items(value).map(Value::from)
}

fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().chars().count()),
        ValueKind::Undefined | ValueKind::Seq | ValueKind::Map => Ok(items(value)?.len()),
        _ => Err(refused(format!("object of type '{}' has no len()", type_name(value)))),
    }
}

fn join(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let [separator, attribute] = bind(&arguments.into_values(), ["d", "attribute"])?;
    let mut items = items(value)?;
    if let Some(attribute) = attribute.filter(|attribute| !attribute.is_none()) {
        items = items.iter().map(|item| item.get_item(&attribute)).collect::<Result<_, _>>()?;
    }
    let texts: Vec<_> = items.iter().map(text).collect();
    Ok(texts.join(&separator.map(|separator| text(&separator)).unwrap_or_default()))
}

fn dictionary_items(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(Generator::of(Vec::new()));
    }
    if value.kind() != ValueKind::Map {
        return Err(refused("Can only get item pairs from a mapping."));
    }
    let pairs = entries(value)?.into_iter().map(|(key, value)| Value::from(Tuple::from(vec![key, value])));
    Ok(Generator::of(pairs.collect()))
}

fn reverse(value: &Value) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut items = items(value)?;
    items.reverse();
    Ok(Generator::of(items))
}

fn last(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Iterable => Err(refused("'generator' object is not reversible")),
        _ => items(value).map(|mut items| items.pop().unwrap_or_default()),
    }
}
