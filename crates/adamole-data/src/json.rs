//! JSON values whose objects keep the order of their keys.
//!
//! A chat template prints the objects of a conversation, such as the arguments of a tool call, in the order in which their keys
//! were written. `serde_json` sorts keys unless a feature is set, which then holds for the whole program.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::{Number, Value};

use crate::RowError;
use crate::error::wrong_type;

/// The fields of an object, in the order of their first appearance. Of a repeated key the last value counts.
pub(crate) type Object = IndexMap<String, Json>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Json>),
    Object(Object),
}

impl Json {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The error of this value at `path`.
    pub(crate) fn unexpected(&self, path: &str, expected: &str) -> RowError {
        wrong_type(path, expected, &self.clone().into())
    }
}

/// The value with sorted keys.
impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => Self::Number(number),
            Json::String(text) => Self::String(text),
            Json::List(list) => list.into_iter().map(Self::from).collect(),
            Json::Object(object) => object.into_iter().map(|(key, value)| (key, Self::from(value))).collect(),
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

/// The text of the value, without spaces between its parts.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::List(list) => serializer.collect_seq(list),
            Self::Object(object) => serializer.collect_map(object),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.into()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Json, A::Error> {
        object(entries).map(Json::Object)
    }
}

fn object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Object, A::Error> {
    let mut object = Object::new();
    while let Some((key, value)) = entries.next_entry()? {
        object.insert(key, value);
    }
    Ok(object)
}

/// The fields of a row: an object and nothing else.
pub(crate) struct Fields(pub(crate) Object);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyObject;

        impl<'de> Visitor<'de> for AnyObject {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Fields, A::Error> {
                object(entries).map(Fields)
            }
        }

        deserializer.deserialize_map(AnyObject)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_stay_in_their_order() {
        let text = r#"{"z":{"b":1,"a":[null,true,-2,0.5,1e-7,18446744073709551615]},"y":"é\n\"","x":{},"w":[]}"#;
        let json: Json = serde_json::from_str(text).unwrap();
        assert_eq!(json.to_string(), text);
        let json: Json = serde_json::from_str(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap();
        assert_eq!(json.to_string(), r#"{"b":3,"a":2}"#);
    }

    proptest! {
        #[test]
        fn the_value_is_that_of_the_library(text in r#"[\[\]{},:" \\0-9a-zA-Z.eE+-]{0,24}"#) {
            let (ours, theirs) = (serde_json::from_str::<Json>(&text), serde_json::from_str::<Value>(&text));
            prop_assert_eq!(ours.map(Value::from).map_err(|e| e.to_string()), theirs.map_err(|e| e.to_string()));
        }
    }
}
