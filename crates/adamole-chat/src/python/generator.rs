//! Python's generators: what `map`, `select` and other filters give, to be gone over once.

use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Items that are gone over once. It is true, has no length and no items by index.
#[derive(Debug)]
pub(super) struct Generator(Mutex<Vec<Value>>);

impl Generator {
    /// A generator of these items.
    pub(super) fn of(items: Vec<Value>) -> Value {
        Value::from_object(Self(Mutex::new(items)))
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let items = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Enumerator::Iter(Box::new(OfUnknownLength(items.into_iter())))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<generator object>")
    }
}

/// Hides the length, by which the engine would take it for a list.
struct OfUnknownLength(std::vec::IntoIter<Value>);

impl Iterator for OfUnknownLength {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.0.next()
    }
}
