//! Tests of Jinja2 that the engine lacks or answers in another way.

use super::operators::{contains, ordered};
use minijinja::{Environment, Value, value::ValueKind};
use std::cmp::Ordering;

pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Undefined)
    });
    environment.add_test("iterable", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), String | Seq | Map | Iterable | Undefined)
    });
    // Booleans are numbers, not integers, in Jinja2.
    environment.add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    environment.add_test("in", |item: &Value, whole: &Value| contains(whole, item));
    for (names, operator, accepted) in [
        (["lt", "lessthan"], "<", [Ordering::Less, Ordering::Less]),
        (["le", "le"], "<=", [Ordering::Less, Ordering::Equal]),
        (["gt", "greaterthan"], ">", [Ordering::Greater, Ordering::Greater]),
        (["ge", "ge"], ">=", [Ordering::Greater, Ordering::Equal]),
    ] {
        for name in names {
            environment.add_test(name, move |left: &Value, right: &Value| {
                ordered(operator, left, right).map(|order| order.is_some_and(|order| accepted.contains(&order)))
            });
        }
    }
}
