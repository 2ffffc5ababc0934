//! All settings: those of the program, declared here and with what they are about, and those of the libraries.

use crate::cli::{adapter_settings, headings, nearest::nearest, own_text::OwnText, reading::Reading, weights::Weights};
use adamole::{
    core::{MethodKind, Setting, SettingError, SettingGroup, settings},
    data::{Split, SplitPart},
    train::Recipe,
};
use serde_json::Value;
use std::{path::PathBuf, sync::LazyLock};

settings! {
    /// Where a run takes place and what it leaves there.
    #[derive(Debug)]
    pub(super) struct Run {
        /// Base model: a Hugging Face folder, or org/name[@revision] on the hub.
        pub(super) model: String, free, common;
        /// Run directory, which must not hold a run.
        pub(super) output: Option<PathBuf> = None, shown("runs/BENCHMARK-METHOD-SEED"), free, common;
        /// Device: auto, cpu, cuda, vulkan or wgpu. The last three may have an :INDEX; several of a kind, comma-separated,
        /// share every step.
        pub(super) device: String = "auto".into(), free, common;
        /// Micro-batches computed in parallel.
        pub(super) workers: Option<usize> = None, shown("the number of cores on the CPU, 1 on a GPU"), free;
        /// Steps between checkpoints; every validation writes one, too.
        pub(super) checkpoint_every: usize = 200, free;
        /// Number of checkpoints that are kept, the newest ones.
        pub(super) keep_checkpoints: usize = 2, free;
    }
}

settings! {
    /// The items that a run uses.
    #[derive(Debug)]
    pub(super) struct Splits {
        /// Items of training: a split, or a part of one (train[:200]).
        pub(super) train_split: SplitPart = Split::Train.into();
        /// Items that choose the epoch; none of them may be an item of training.
        pub(super) validation_split: SplitPart = Split::Validation.into();
        /// A third split, or a part of one, on which the chosen epoch is reported.
        pub(super) report_split: Option<SplitPart> = None, shown("none");
        /// Use the first N training items only.
        pub(super) limit_train: Option<usize> = None, shown("all"), common;
        /// Use the first N validation items only.
        pub(super) limit_validation: Option<usize> = None, shown("all");
    }
}

/// How a value for each group of layers is written.
const PER_LAYER: &str = "a number, a number for each group of layers (8,6,4,2), or triangle, inverted-triangle, hourglass or \
     rectangle";

/// Settings that help and documentation show together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) settings: Vec<Declared>,
}

/// A setting of a run.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) setting: Setting,
    /// The methods whose setting it is; empty where it is one of all runs.
    pub(crate) methods: Vec<&'static MethodKind>,
    /// Its flag, without the hyphens in front.
    pub(crate) flag: &'static str,
}

static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    let group = |title, lists: &[&[Setting]]| Group {
        title,
        settings: lists.concat().into_iter().map(|setting| Declared::new(setting, Vec::new())).collect(),
    };
    let mut adapter = group(headings::ADAPTER, &[adapter_settings::Common::SETTINGS]);
    adapter.settings.extend(adapter_settings::of_methods());
    vec![
        group(headings::RUN, &[Run::SETTINGS, Weights::SETTINGS]),
        group(headings::DATA, &[Reading::SETTINGS, Splits::SETTINGS]),
        group(headings::OWN_TEXT, &[OwnText::SETTINGS]),
        adapter,
        group(headings::TRAINING, &[Recipe::SETTINGS]),
    ]
});

/// All settings, in groups.
pub(crate) fn groups() -> &'static [Group] {
    &GROUPS
}

/// All settings.
pub(crate) fn declared() -> impl Iterator<Item = &'static Declared> {
    groups().iter().flat_map(|group| &group.settings)
}

/// Checks that no two settings have one name, as may be where methods of other crates are registered.
///
/// # Errors
/// The name and its method.
pub(crate) fn check_names() -> Result<(), String> {
    check_names_of(&declared().collect::<Vec<_>>())
}

fn check_names_of(all: &[&Declared]) -> Result<(), String> {
    let named = |name: &str| all.iter().filter(|it| it.setting.name == name).count();
    match all.iter().find(|it| !it.methods.is_empty() && named(it.setting.name) > 1) {
        None => Ok(()),
        Some(it) => {
            let methods = it.methods.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
            Err(format!(
                "{methods}: the setting {} of the method is one of all runs; give it another name",
                it.setting.name
            ))
        }
    }
}

impl Declared {
    /// A setting of these methods.
    pub(crate) fn new(setting: Setting, methods: Vec<&'static MethodKind>) -> Self {
        // Once for each setting of the program.
        let flag = setting.name.replace('_', "-").leak();
        Self { setting, methods, flag }
    }

    /// The setting of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        declared().find(|it| it.setting.name == name)
    }

    /// What to say of a name that no setting has.
    pub(crate) fn unknown(name: &str) -> SettingError {
        let names = || declared().map(|it| it.setting.name);
        SettingError::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, names()),
            known: names().collect::<Vec<_>>().join(", "),
        }
    }

    /// What it is, in a sentence or two, with the methods that have it.
    pub(crate) fn help(&self) -> String {
        let text = |setting: &Setting| setting.help().trim_end_matches('.').to_owned();
        let help = match &self.by_method(None, text)[..] {
            [] => text(&self.setting),
            [(methods, help)] => format!("{help} ({methods})"),
            several => joined(several),
        };
        if self.setting.per_layer { format!("{help}: {PER_LAYER}.") } else { format!("{help}.") }
    }

    /// Its default, as it is shown, with one method or all; `None` where it is required.
    pub(crate) fn default_words(&self, method: Option<&MethodKind>) -> Option<String> {
        match &self.by_method(method, |setting| setting.default_words().unwrap_or_default())[..] {
            [] => self.setting.default_words(),
            [(_, words)] => Some(words.clone()),
            several => Some(joined(several)),
        }
    }

    /// Its default with a method, where that is a value rather than a rule.
    pub(crate) fn default_value(&self, method: Option<&MethodKind>) -> Option<Value> {
        method.and_then(|kind| kind.setting(self.setting.name)).unwrap_or(&self.setting).default_value()
    }

    /// What the declarations of one method, or of all, say, each with the names of the methods that say it.
    fn by_method(&self, only: Option<&MethodKind>, what: impl Fn(&Setting) -> String) -> Vec<(String, String)> {
        let mut said: Vec<(String, String)> = Vec::new();
        for kind in self.methods.iter().filter(|kind| only.is_none_or(|only| only.name == kind.name)) {
            let Some(words) = kind.setting(self.setting.name).map(&what) else { continue };
            match said.iter_mut().find(|(_, known)| *known == words) {
                Some((methods, _)) => *methods += &format!(", {}", kind.name),
                None => said.push((kind.name.to_owned(), words)),
            }
        }
        said
    }
}

fn joined(said: &[(String, String)]) -> String {
    said.iter().map(|(methods, words)| format!("{methods}: {words}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use adamole::core::Lora;

    #[test]
    fn a_method_has_no_setting_of_all_runs() {
        assert_eq!(check_names(), Ok(()));
        let epochs = Declared::named("epochs").map(|it| it.setting);
        let own = epochs.map(|epochs| Declared::new(epochs, vec![&Lora::KIND]));
        let mut all: Vec<&Declared> = declared().collect();
        all.extend(&own);
        let refusal = check_names_of(&all).unwrap_err();
        assert_eq!(refusal, "lora: the setting epochs of the method is one of all runs; give it another name");
    }
}
