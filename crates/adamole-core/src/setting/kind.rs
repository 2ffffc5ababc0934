//! How the values of a setting are written, found out from their type.

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, Visitor},
};
use std::fmt;

/// How the values of a setting are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// `true` or `false`.
    Flag,
    /// An integer of at least 0.
    Integer,
    /// A finite number.
    Number,
    /// A word, a path, or a notation of the type's own.
    Text,
    /// Several words.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl SettingKind {
    /// The kind of values of type `T`: what `T` asks a deserializer for. The names of an enum are those that serde reads.
    pub fn of<T: DeserializeOwned>() -> Self {
        match T::deserialize(Probe) {
            Err(Asked(kind)) => kind,
            Ok(_) => Self::Text,
        }
    }

    /// What is expected of a value, in words.
    pub fn expected(self) -> String {
        match self {
            Self::Flag => "true or false".into(),
            Self::Integer => "an integer of at least 0".into(),
            Self::Number => "a finite number".into(),
            Self::Text => "a text".into(),
            Self::List => "words".into(),
            Self::Choice([]) => "one of no words".into(),
            Self::Choice([one]) => (*one).into(),
            Self::Choice([first @ .., last]) => format!("{} or {last}", first.join(", ")),
        }
    }
}

/// A deserializer that holds nothing and answers with what it is asked for.
struct Probe;

/// What a [`Probe`] was asked for.
#[derive(Debug)]
struct Asked(SettingKind);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.expected())
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self(SettingKind::Text)
    }
}

macro_rules! answers {
    ($($method:ident: $kind:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Asked> {
            Err(Asked(SettingKind::$kind))
        })*
    };
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Asked;

    answers! {
        deserialize_any: Text, deserialize_bool: Flag, deserialize_f32: Number, deserialize_f64: Number,
        deserialize_u8: Integer, deserialize_u16: Integer, deserialize_u32: Integer, deserialize_u64: Integer,
        deserialize_seq: List,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked(SettingKind::Choice(names)))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct
        identifier ignored_any
    }
}
