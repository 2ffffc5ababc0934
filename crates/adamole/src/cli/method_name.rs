//! A method by its name.

use adamole::core::MethodKind;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, EnumAccess, VariantAccess, Visitor},
};
use std::{fmt, sync::LazyLock};

/// A method by its name: one of [`MethodKind::all`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct MethodName(pub(crate) &'static MethodKind);

static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| MethodKind::all().map(|kind| kind.name).collect());

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Serialize for MethodName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

impl<'de> Deserialize<'de> for MethodName {
    /// As an enum: its names are then those of a setting's values.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = MethodName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a method")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<MethodName, A::Error> {
                let (name, rest) = access.variant::<String>()?;
                rest.unit_variant()?;
                MethodKind::by_name(&name).map(MethodName).ok_or_else(|| de::Error::unknown_variant(&name, &NAMES))
            }
        }
        deserializer.deserialize_enum("Method", &NAMES, Name)
    }
}
