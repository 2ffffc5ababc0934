//! Filters of Jinja2 that the engine lacks or computes in another way.

use super::{
    arguments::bind,
    integer, json, number, printf, refused, sequences,
    strings::{self, Ends, strip},
    text, type_name,
};
use minijinja::{
    Environment, Error, Value, filters as engine,
    value::{Rest, ValueOrKwargs},
};

pub(super) fn install(environment: &mut Environment<'_>) {
    sequences::install(environment);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("int", number::int);
    environment.add_filter("float", number::float);
    environment.add_filter("string", text);
    environment.add_filter("upper", |value: &Value| text(value).to_uppercase());
    environment.add_filter("lower", |value: &Value| text(value).to_lowercase());
    environment.add_filter("capitalize", |value: &Value| strings::capitalize(&text(value)));
    environment.add_filter("title", |value: &Value| engine::title(text(value).into()));
    environment.add_filter("trim", trim);
    environment.add_filter("replace", replace);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("indent", indent);
    environment.add_filter("center", center);
    environment.add_filter("format", |pattern: &Value, values: Rest<ValueOrKwargs>| {
        printf::fill_arguments(&text(pattern), &values.into_values())
    });
    // Of dictionaries and lists, templates may read no attributes but methods.
    environment.add_filter("attr", |_: &Value, _: &Value| Value::UNDEFINED);
    environment.add_filter("wordcount", |value: &Value| strings::split_spaces(&text(value), None).len());
}

fn trim(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let [set] = bind(&arguments.into_values(), ["chars"])?;
    let set = set.filter(|set| !set.is_none()).map(|set| text(&set));
    Ok(strip(&text(value), set.as_deref(), Ends { start: true, end: true }).to_owned())
}

fn replace(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let [old, new, count] = bind(&arguments.into_values(), ["old", "new", "count"])?;
    let (Some(old), Some(new)) = (old, new) else { return Err(refused("replace expects an old and a new text")) };
    let (value, old, new) = (text(value), text(&old), text(&new));
    match count.filter(|count| !count.is_none()) {
        None => Ok(value.replace(&old, &new)),
        Some(count) => match usize::try_from(integer(&count)?) {
            Ok(count) => Ok(value.replacen(&old, &new, count)),
            Err(_) => Ok(value.replace(&old, &new)),
        },
    }
}

fn default(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [default, boolean] = bind(&arguments.into_values(), ["default_value", "boolean"])?;
    let replaced = value.is_undefined() || (boolean.is_some_and(|boolean| boolean.is_true()) && !value.is_true());
    Ok(if replaced { default.unwrap_or_else(|| Value::from("")) } else { value.clone() })
}

fn indent(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let [width, first, blank] = bind(&arguments.into_values(), ["width", "first", "blank"])?;
    let Some(value) = value.as_str() else {
        return Err(refused(format!("a '{}' cannot be indented", type_name(value))));
    };
    let indentation = match width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(super::width(&width)?),
        },
    };
    let is_true = |flag: Option<Value>| flag.is_some_and(|flag| flag.is_true());
    let (first, blank) = (is_true(first), is_true(blank));
    // Jinja2 adds a line end first, so that the last one of a text is a line of its own.
    let with_end = value.to_owned() + "\n";
    let lines = strings::lines(&with_end, false).into_iter().enumerate().map(|(index, line)| {
        let indented = if index == 0 { first } else { blank || !line.is_empty() };
        if indented { indentation.clone() + line } else { line.to_owned() }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn center(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let [width] = bind(&arguments.into_values(), ["width"])?;
    let width = width.map_or(Ok(80), |width| super::width(&width))?;
    Ok(strings::center(&text(value), width, ' '))
}
