//! What the Python of templates computes in another way than the template engine: how values are printed, operators,
//! methods, filters and tests.

mod arguments;
mod filters;
mod generator;
mod json;
mod methods;
mod number;
mod operators;
mod printf;
mod sequences;
mod strings;
mod tests;
mod text;

use minijinja::{Environment, Error, ErrorKind, Value, value::ValueKind};

pub(crate) use text::text;

/// Gives an environment Python's ways.
pub(crate) fn install(environment: &mut Environment<'_>) {
    environment.set_formatter(|out, _, value| out.write_str(&text(value)).map_err(Error::from));
    environment.set_unknown_method_callback(methods::call);
    operators::install(environment);
    filters::install(environment);
    tests::install(environment);
}

/// The error of a type or value that Python does not accept.
fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// What Python calls the type of a value.
fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq => "list",
        ValueKind::Map => "dict",
        ValueKind::Iterable => "generator",
        _ => "object",
    }
}

/// The items of a value that Python goes over: of a list, the keys of a dictionary, the characters of a string, or none of
/// an undefined value.
///
/// # Errors
/// It cannot be gone over.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(Vec::new()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().chars().map(Value::from).collect()),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => value.try_iter()?.checked().collect(),
        _ => Err(refused(format!("'{}' object is not iterable", type_name(value)))),
    }
}

/// The entries of a dictionary.
///
/// # Errors
/// It is not a dictionary.
fn entries(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    if value.kind() != ValueKind::Map {
        return Err(refused(format!("'{}' object is not a mapping", type_name(value))));
    }
    items(value)?.into_iter().map(|key| Ok((key.clone(), value.get_item(&key)?))).collect()
}

/// The largest width and indentation: what a template asks for is memory.
const WIDEST: usize = 1 << 20;

/// A width or an indentation; a negative one is none.
fn width(value: &Value) -> Result<usize, Error> {
    let width = usize::try_from(integer(value)?).unwrap_or(0);
    if width > WIDEST { Err(refused(format!("a width of {width} is more than {WIDEST}"))) } else { Ok(width) }
}

/// An integer, as which Python also takes a boolean.
fn integer(value: &Value) -> Result<i64, Error> {
    match value.kind() {
        ValueKind::Bool => Ok(i64::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i64::try_from(value.clone()),
        _ => Err(refused(format!("'{}' object cannot be interpreted as an integer", type_name(value)))),
    }
}
