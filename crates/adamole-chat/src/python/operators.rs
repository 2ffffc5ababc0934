//! Operators with Python's rules for types, under the names that [`crate::syntax`] gives them.

use super::{integer, items, methods, printf, refused, text, type_name};
use minijinja::{
    Environment, Error, State, Value,
    value::{Object, ObjectRepr, Tuple, ValueKind},
};
use std::{cmp::Ordering, fmt, sync::Arc};

pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter("op_add", add);
    environment.add_filter("op_concat", |left: &Value, right: &Value| text(left) + &text(right));
    environment.add_filter("op_mod", modulo);
    environment.add_filter("op_lt", |left: &Value, right: &Value| {
        ordered("<", left, right).map(|order| order == Some(Ordering::Less))
    });
    environment.add_filter("op_le", |left: &Value, right: &Value| {
        ordered("<=", left, right).map(|order| matches!(order, Some(Ordering::Less | Ordering::Equal)))
    });
    environment.add_filter("op_gt", |left: &Value, right: &Value| {
        ordered(">", left, right).map(|order| order == Some(Ordering::Greater))
    });
    environment.add_filter("op_ge", |left: &Value, right: &Value| {
        ordered(">=", left, right).map(|order| matches!(order, Some(Ordering::Greater | Ordering::Equal)))
    });
    environment.add_filter("op_in", |item: &Value, whole: &Value| contains(whole, item));
    environment.add_filter("op_slice", slice);
    environment.add_filter("op_iterate", iterate);
    environment.add_filter("op_method", method);
}

fn unsupported(operator: &str, left: &Value, right: &Value) -> Error {
    refused(format!("unsupported operand types for {operator}: '{}' and '{}'", type_name(left), type_name(right)))
}

fn is_list(value: &Value) -> bool {
    value.kind() == ValueKind::Seq && !value.is_tuple()
}

/// Both as integers, which booleans are too.
fn integers(left: &Value, right: &Value) -> Option<(i128, i128)> {
    let integer = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    };
    Some((integer(left)?, integer(right)?))
}

/// Both as floats, where both are numbers.
fn floats(left: &Value, right: &Value) -> Option<(f64, f64)> {
    let float = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => {
            f64::try_from(value.clone()).ok().or_else(|| Some(i128::try_from(value.clone()).ok()? as f64))
        }
        _ => None,
    };
    Some((float(left)?, float(right)?))
}

fn smallest(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::from(value), Value::from)
}

/// `left + right` of numbers, of strings, of lists or of tuples.
fn add(left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return Ok(Value::from([left, right].concat()));
    }
    if let Some((left_integer, right_integer)) = integers(left, right) {
        let sum = left_integer.checked_add(right_integer).ok_or_else(|| refused("the sum is too large"))?;
        return Ok(smallest(sum));
    }
    if let Some((left, right)) = floats(left, right) {
        return Ok(Value::from(left + right));
    }
    let both = |left, right| Ok::<Vec<_>, Error>([items(left)?, items(right)?].concat());
    if is_list(left) && is_list(right) {
        return Ok(Value::from(both(left, right)?));
    }
    if left.is_tuple() && right.is_tuple() {
        return Ok(Value::from(Tuple::from(both(left, right)?)));
    }
    Err(unsupported("+", left, right))
}

/// `left % right`: the remainder of numbers, or a string whose places are filled.
fn modulo(left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(pattern) = left.as_str() {
        return printf::fill(pattern, right).map(Value::from);
    }
    if let Some((left, right)) = integers(left, right) {
        let remainder = left.checked_rem(right).ok_or_else(|| refused("integer modulo by zero"))?;
        return Ok(smallest(if remainder != 0 && (remainder < 0) != (right < 0) {
            remainder + right
        } else {
            remainder
        }));
    }
    match floats(left, right) {
        Some((_, 0.0)) => Err(refused("float modulo by zero")),
        Some((left, right)) => {
            let remainder = left % right;
            Ok(Value::from(if remainder != 0.0 && (remainder < 0.0) != (right < 0.0) {
                remainder + right
            } else {
                remainder
            }))
        }
        None => Err(unsupported("%", left, right)),
    }
}

/// The order of two values; none for floats that are not numbers.
///
/// # Errors
/// Python does not order these types.
pub(super) fn ordered(operator: &str, left: &Value, right: &Value) -> Result<Option<Ordering>, Error> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return Ok(Some(left.cmp(right)));
    }
    if let Some((left, right)) = integers(left, right) {
        return Ok(Some(left.cmp(&right)));
    }
    if let Some((left, right)) = floats(left, right) {
        return Ok(left.partial_cmp(&right));
    }
    if (is_list(left) && is_list(right)) || (left.is_tuple() && right.is_tuple()) {
        let (left, right) = (items(left)?, items(right)?);
        for (left, right) in left.iter().zip(&right) {
            if left != right {
                return ordered(operator, left, right);
            }
        }
        return Ok(Some(left.len().cmp(&right.len())));
    }
    Err(unsupported(operator, left, right))
}

/// `item in whole`.
pub(super) fn contains(whole: &Value, item: &Value) -> Result<bool, Error> {
    match (whole.as_str(), item.as_str()) {
        (Some(whole), Some(item)) => return Ok(whole.contains(item)),
        (Some(_), None) => {
            return Err(refused(format!("'in <string>' requires a string as left operand, not {}", type_name(item))));
        }
        _ => {}
    }
    match whole.kind() {
        ValueKind::Map if matches!(item.kind(), ValueKind::Map) || is_list(item) => {
            Err(refused(format!("'{}' is not a key of a dictionary", type_name(item))))
        }
        _ => Ok(items(whole)?.contains(item)),
    }
}

/// What a loop goes over: as it is, so that the loop knows its length, once it is sure that it can be gone over.
fn iterate(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Seq => Ok(value.clone()),
        _ => Ok(Value::from(items(value)?)),
    }
}

/// `value.name`, where dictionaries have a method of this name.
fn method(value: &Value, name: &str) -> Result<Value, Error> {
    let is_dictionary = value.kind() == ValueKind::Map
        && value.as_object().is_some_and(|object| {
            !object.type_name().starts_with("minijinja::vm") && !object.type_name().contains("Namespace")
        });
    match is_dictionary {
        true => Ok(Value::from_object(Method { of: value.clone(), name: name.into() })),
        false => value.get_attr(name),
    }
}

/// A method of a dictionary that is not called yet.
#[derive(Debug)]
struct Method {
    of: Value,
    name: String,
}

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, arguments: &[Value]) -> Result<Value, Error> {
        methods::call(state, &self.of, &self.name, arguments)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<built-in method {} of dict object>", self.name)
    }
}

/// `value[start:stop:step]` of a string, a list or a tuple.
fn slice(value: &Value, start: &Value, stop: &Value, step: Option<Value>) -> Result<Value, Error> {
    let bound = |value: &Value| if value.is_none() { Ok(None) } else { integer(value).map(Some) };
    let step = step.map_or(Ok(None), |step| bound(&step))?.unwrap_or(1);
    let bounds = (bound(start)?, bound(stop)?, step);
    match value.kind() {
        _ if step == 0 => Err(refused("slice step cannot be zero")),
        ValueKind::String => {
            let characters: Vec<char> = value.as_str().unwrap_or_default().chars().collect();
            Ok(Value::from(sliced(&characters, bounds).collect::<String>()))
        }
        ValueKind::Seq if value.is_tuple() => {
            Ok(Value::from(Tuple::from(sliced(&items(value)?, bounds).collect::<Vec<_>>())))
        }
        ValueKind::Seq => Ok(Value::from(sliced(&items(value)?, bounds).collect::<Vec<_>>())),
        ValueKind::Undefined | ValueKind::Map => {
            Err(refused(format!("'{}' object cannot be sliced", type_name(value))))
        }
        // Jinja2 takes the item of this key, which there is not.
        _ => Ok(Value::UNDEFINED),
    }
}

/// The items of a slice, by Python's rules for bounds.
fn sliced<T: Clone>(items: &[T], (start, stop, step): (Option<i64>, Option<i64>, i64)) -> impl Iterator<Item = T> {
    let length = items.len() as i64;
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamped = |bound: Option<i64>, default: i64| match bound {
        None => default,
        Some(bound) if bound < 0 => bound.saturating_add(length).max(lowest),
        Some(bound) => bound.min(highest),
    };
    let (first, last) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    let (start, stop) = (clamped(start, first), clamped(stop, last));
    let indices = std::iter::successors(Some(start), move |index| index.checked_add(step));
    let inside = move |index: &i64| if step > 0 { *index < stop } else { *index > stop };
    indices.take_while(inside).map(|index| items[index as usize].clone()).collect::<Vec<_>>().into_iter()
}
