//! Settings as flags of the command line.

use super::{Declared, Group, Settings, declared, groups};
use adamole::core::{MethodKind, SettingError, SettingGroup, SettingKind};
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};
use serde_json::Value;

/// What is made of the flags of some settings.
pub(crate) trait FlagSet: Sized {
    /// Whether the setting is one of them.
    fn has(it: &Declared) -> bool;

    /// # Errors
    /// What is given is not complete or not valid.
    fn from_given(given: Settings) -> Result<Self, SettingError>;
}

/// The flags of a [`FlagSet`], for clap: one for each setting, with hyphens in place of underscores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flags<T>(pub(crate) T);

impl FlagSet for Settings {
    fn has(_: &Declared) -> bool {
        true
    }

    fn from_given(given: Self) -> Result<Self, SettingError> {
        Ok(given)
    }
}

impl<T: SettingGroup> FlagSet for T {
    fn has(it: &Declared) -> bool {
        Self::SETTINGS.iter().any(|own| own.name == it.setting.name)
    }

    fn from_given(given: Settings) -> Result<Self, SettingError> {
        Self::from_settings(given.with_compat().map())
    }
}

impl<T: FlagSet> Args for Flags<T> {
    fn augment_args(command: Command) -> Command {
        groups().iter().fold(command, |command, Group { title, settings }| {
            let own = settings.iter().filter(|it| T::has(it));
            command.args(own.map(|it| argument(it).help_heading(*title)))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: FlagSet> FromArgMatches for Flags<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let own = declared().filter(|it| T::has(it));
        let named = |it: &Declared| Some(given(it, matches)?.map(|value| (it.setting.name.to_owned(), value)));
        let given: Result<_, SettingError> = own.filter_map(named).collect();
        let flags = given.and_then(|given| T::from_given(Settings(given)));
        flags.map(Self).map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of a setting. Short help shows common ones, in a few words.
fn argument(it: &'static Declared) -> Arg {
    let setting = &it.setting;
    let default = it.default_words(None).map(|words| format!(" [{words}]")).unwrap_or_default();
    // Methods have help of their own, which clap shows beside their names.
    let names = setting.names().join(", ");
    let is_plain_choice = !names.is_empty() && setting.name != "method";
    let names = if is_plain_choice { format!(": {names}") } else { String::new() };
    let argument = Arg::new(setting.name)
        .long(it.flag)
        .help(format!("{}{names}{default}", setting.short_help()))
        .long_help(format!("{}{names}{default}", it.help().trim_end_matches('.')))
        .hide_short_help(!setting.common)
        .hide_possible_values(is_plain_choice);
    // clap names the flag itself.
    let parser = |text: &str| {
        setting.parse(text).map_err(|error| match error {
            SettingError::Malformed { reason, .. } => reason,
            SettingError::Invalid { expected, .. } => format!("expected {expected}"),
            error => error.to_string(),
        })
    };
    match setting.kind() {
        SettingKind::Flag => {
            argument.value_name("BOOL").num_args(0..=1).default_missing_value("true").value_parser(parser)
        }
        SettingKind::Integer => argument.value_name("N").value_parser(parser),
        SettingKind::Number => argument.value_name("X").value_parser(parser),
        SettingKind::Text if setting.per_layer => argument.value_name("N,..").value_parser(parser),
        SettingKind::Text => argument.value_name("TEXT").value_parser(parser),
        SettingKind::List => argument.value_name("NAMES").action(ArgAction::Append).value_parser(parser),
        SettingKind::Choice(names) => {
            let own = setting.names();
            let values = names.iter().map(|name| {
                let help = MethodKind::by_name(name).filter(|_| setting.name == "method").map(|kind| kind.help);
                PossibleValue::new(*name).hide(!own.contains(name)).help(help)
            });
            let parser = PossibleValuesParser::new(values).try_map(|text| setting.parse(&text));
            argument.value_name("NAME").value_parser(parser)
        }
    }
}

/// The value of a flag, if it is given; of a list, all its parts.
fn given(it: &Declared, matches: &ArgMatches) -> Option<Result<Value, SettingError>> {
    let mut values = matches.get_many::<Value>(it.setting.name)?;
    match it.setting.kind() {
        SettingKind::List => {
            let parts: Value = values.filter_map(Value::as_array).flatten().cloned().collect();
            Some(it.setting.check(&parts))
        }
        _ => values.next().cloned().map(Ok),
    }
}
