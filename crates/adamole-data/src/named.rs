//! Choices that have names: on a command line, in a file, in a report.

/// Gives an enum its names: `as_str`, `Display` and `FromStr`.
macro_rules! named {
    ($type:ty, $what:literal, { $($variant:path => $name:literal),* $(,)? }) => {
        impl $type {
            /// The name, as it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($variant => $name),*
                }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::DataError;

            fn from_str(name: &str) -> Result<Self, $crate::DataError> {
                match name {
                    $($name => Ok($variant),)*
                    _ => Err($crate::DataError::UnknownName { what: $what, name: name.into(), known: &[$($name),*] }),
                }
            }
        }
    };
}

pub(crate) use named;
