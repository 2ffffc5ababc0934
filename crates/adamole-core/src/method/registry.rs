//! Methods of other crates, beside those of this one.

use super::{METHODS, MethodKind, MethodSettings};
use crate::{AdapterShape, Setting};
use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

static REGISTERED: RwLock<Vec<&MethodKind>> = RwLock::new(Vec::new());

/// The sizes that parameters are looked at with.
const SHAPE: AdapterShape = AdapterShape { rank: 2, d_in: 16, d_out: 16 };

/// Why a method cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// Another method has its name.
    #[error("there is a method {name} already")]
    Name {
        /// The name.
        name: &'static str,
    },
    /// Another method has its type in adapter files.
    #[error("the method {name} has the peft_type {peft_type}, which is that of the method {other}")]
    PeftType {
        /// The method.
        name: &'static str,
        /// Its type.
        peft_type: &'static str,
        /// The method that has it.
        other: &'static str,
    },
    /// A setting has the name of one of another method, but other values: the two are one flag and one key.
    #[error("the method {name} has a setting {setting} with other values than that of the method {other}")]
    Setting {
        /// The method.
        name: &'static str,
        /// The setting.
        setting: &'static str,
        /// The method that has it.
        other: &'static str,
    },
    /// A key would not be found in adapter files.
    #[error(
        "the method {name} keeps {parameter} under the key {key} in files, expected one of its own with lora_ at the start"
    )]
    Key {
        /// The method.
        name: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// The key.
        key: String,
    },
}

impl MethodKind {
    /// The methods that settings and adapter files can name: those of this crate, then those that are registered.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        // Taken out, so that a caller may register while it looks.
        let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner).clone();
        METHODS.iter().copied().chain(registered)
    }

    /// Makes a method of another crate one that settings, models, adapter folders and the program know by name, in this
    /// process. To be called before they are used: the program reads the list once. The same method may be registered again.
    ///
    /// # Errors
    /// Its name, its type in files or a setting is taken by another method, or a parameter's key would not be found in files.
    pub fn register(&'static self) -> Result<(), RegistrationError> {
        let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
        if registered.iter().any(|other| self.is(other)) {
            return Ok(());
        }
        METHODS.iter().chain(registered.iter()).try_for_each(|other| self.check_beside(other))?;
        self.check_keys()?;
        registered.push(self);
        Ok(())
    }

    /// Whether it is the same method. A constant has no address of its own: each mention of it may have another one.
    fn is(&self, other: &Self) -> bool {
        let words = |it: &Self| (it.name, it.help, it.peft_type);
        words(self) == words(other)
            && self.settings.iter().map(|it| it.name).eq(other.settings.iter().map(|it| it.name))
    }

    fn check_beside(&self, other: &'static Self) -> Result<(), RegistrationError> {
        let (name, peft_type) = (self.name, self.peft_type);
        if name == other.name {
            return Err(RegistrationError::Name { name });
        }
        if peft_type == other.peft_type {
            return Err(RegistrationError::PeftType { name, peft_type, other: other.name });
        }
        let values = |setting: &Setting| (setting.kind(), setting.per_layer);
        let differs = |own: &&Setting| other.setting(own.name).is_some_and(|others| values(others) != values(own));
        match self.settings.iter().find(differs) {
            None => Ok(()),
            Some(own) => Err(RegistrationError::Setting { name, setting: own.name, other: other.name }),
        }
    }

    /// Looks at the parameters that the method has with its defaults; there may be settings without one.
    fn check_keys(&self) -> Result<(), RegistrationError> {
        let defaults = self.settings.iter().map(|it| (it.name.to_owned(), it.default_value().unwrap_or_default()));
        let Ok(method) = (self.build)(&defaults.collect::<MethodSettings>()) else { return Ok(()) };
        let mut keys = BTreeSet::new();
        for parameter in method.parameters(SHAPE) {
            let wrong = |(key, _): &(String, _)| !key.starts_with("lora_") || !keys.insert(key.clone());
            if let Some((key, _)) = parameter.keys().into_iter().find(wrong) {
                return Err(RegistrationError::Key { name: self.name, parameter: parameter.name, key });
            }
        }
        Ok(())
    }
}
