//! Structs whose fields are settings.

use super::Setting;
use crate::SettingError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// Values of settings, by name.
pub type SettingMap = BTreeMap<String, Value>;

/// A struct whose fields are settings; [`settings!`](crate::settings) implements it.
pub trait SettingGroup: Sized {
    /// The declarations, in the order of the fields.
    const SETTINGS: &'static [Setting];

    /// The struct with what is given and, for the rest, its defaults. Values of other settings are ignored.
    ///
    /// # Errors
    /// A value is not one of its setting, or a required one is absent.
    fn from_settings(given: &SettingMap) -> Result<Self, SettingError>;
}

/// The value of a field.
#[doc(hidden)]
pub fn given_or<T: DeserializeOwned>(
    given: &SettingMap,
    setting: &Setting,
    default: impl FnOnce() -> Option<T>,
) -> Result<T, SettingError> {
    match given.get(setting.name) {
        Some(value) => serde_json::from_value(setting.check(value)?)
            .map_err(|error| SettingError::Malformed { name: setting.name, reason: error.to_string() }),
        None => default().ok_or(SettingError::Missing { name: setting.name, help: setting.help() }),
    }
}

/// Declares a struct of settings: its fields are a group of [`Setting`]s, named and described by their names and
/// docstrings.
///
/// ```
/// use adamole_core::{SettingGroup, SettingMap, settings};
///
/// settings! {
///     /// How long a run is.
///     #[derive(Debug, PartialEq)]
///     pub struct Length {
///         /// Passes over the training data.
///         pub epochs: usize = 10;
///         /// Epochs without a better validation after which the run ends.
///         pub patience: Option<usize> = None, shown("never"), free;
///         /// The order of the examples.
///         pub order: String = "bucketed".into(), reference("length-grouped");
///         /// The data.
///         pub data: String;
///     }
/// }
///
/// let given = SettingMap::from([("data".into(), "here".into()), ("epochs".into(), 3.into())]);
/// let length = Length::from_settings(&given).unwrap();
/// assert_eq!(length, Length { epochs: 3, data: "here".into(), ..Length::default() });
/// assert_eq!(Length::SETTINGS[1].default_words().as_deref(), Some("never"));
/// assert!(Length::from_settings(&SettingMap::new()).is_err());
/// ```
///
/// After the default come methods of [`Setting`] that change the declaration. A field without a default is required, and
/// empty in the struct's `Default`.
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[$($attribute:tt)*])*
                $field_vis:vis $field:ident: $type:ty $(= $default:expr)? $(, $change:ident $(($argument:expr))?)*;
            )*
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$($attribute)*])* $field_vis $field: $type,)*
        }

        impl $crate::SettingGroup for $name {
            const SETTINGS: &'static [$crate::Setting] = &[$(
                $crate::Setting::with_default::<$type>(
                    stringify!($field),
                    concat!($($crate::settings!(@doc $($attribute)*)),*),
                    $crate::settings!(@declared $type $(= $default)?),
                )$(.$change($($argument)?))*,
            )*];

            fn from_settings(
                given: &$crate::SettingMap,
            ) -> ::std::result::Result<Self, $crate::SettingError> {
                let [$($field),*] = Self::SETTINGS else { unreachable!("one declaration for each field") };
                Ok(Self {
                    $($field: $crate::setting::given_or(given, $field, || $crate::settings!(@given $($default)?))?,)*
                })
            }
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::settings!(@default $($default)?),)* }
            }
        }
    };
    (@doc doc = $text:literal) => { $text };
    (@doc $($other:tt)*) => { "" };
    (@declared $type:ty = $default:expr) => {
        $crate::SettingDefault::Value(|| {
            let value: $type = $default;
            $crate::setting::recorded(&value)
        })
    };
    (@declared $type:ty) => { $crate::SettingDefault::Required };
    (@given $default:expr) => { Some($default) };
    (@given) => { None };
    (@default $default:expr) => { $default };
    (@default) => { ::std::default::Default::default() };
}
