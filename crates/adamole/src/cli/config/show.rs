//! `adamole config show`: every setting of a run, and where its value comes from.

use super::assignment;
use crate::cli::{
    Failure,
    output::{Format, print},
    own_text::OwnText,
    prepare::WARMUP_OF_OWN_TEXT,
    resume::Begun,
    settings::{ConfigFile, Declared, Flags, Resolved, Settings, groups},
};
use adamole::core::MethodKind;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Longer lines do not move the column of the origins.
const WIDE: usize = 60;

#[derive(Args)]
pub(crate) struct ShowArguments {
    /// TOML file with the settings of the run, as `train` takes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show the settings with which the run in this folder would continue
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// How the settings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    settings: Flags<Settings>,
}

/// A setting of the run.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(skip)]
    group: &'static str,
    name: &'static str,
    /// Null where there is no value, but a rule.
    value: Value,
    /// The rule, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    origin: String,
}

pub(super) fn run(arguments: ShowArguments) -> Result<(), Failure> {
    let ShowArguments { config, resume, format, settings: Flags(flags) } = arguments;
    let file = config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
    let given = flags.clone().or(file.settings.clone());
    let given = match resume.as_deref() {
        Some(run) => Begun::read(run)?.settings(given, run, false)?,
        None => given,
    };
    let origins = Origins { flags: &flags, file: &file, path: config.as_deref(), run: resume.as_deref() };
    let resolved = given.clone().resolve()?;
    let shown = shown(&given, &resolved, &origins);
    print(format, &shown, || text(&shown))
}

/// Where settings are given.
struct Origins<'a> {
    flags: &'a Settings,
    file: &'a ConfigFile,
    path: Option<&'a Path>,
    run: Option<&'a Path>,
}

impl Origins<'_> {
    /// Where the value of a setting of `given` comes from.
    fn of(&self, name: &str, given: &Settings) -> String {
        let is_of_text = || given.get("benchmark").is_none() && OwnText::default_of(name, given).is_some();
        match (self.run, self.path.zip(self.file.lines.get(name))) {
            (Some(run), _) if name == "output" => format!("--resume {}", run.display()),
            _ if self.flags.get(name).is_some() => "flag".into(),
            (_, Some((path, line))) => format!("{}:{line}", path.display()),
            (Some(_), _) if given.get(name).is_some() => "settings.json of the run".into(),
            _ if is_of_reference(name, given) => "--compat reference".into(),
            _ if is_of_text() => "default for text of one's own".into(),
            _ => "default".into(),
        }
    }
}

/// Whether the reference implementation's value takes the place of the default.
fn is_of_reference(name: &str, given: &Settings) -> bool {
    given.get("compat").is_some() && given.get(name).is_none() && Settings::reference().get(name).is_some()
}

fn shown(given: &Settings, resolved: &Resolved, origins: &Origins<'_>) -> Vec<Shown> {
    let values = values(resolved);
    let method = values.get("method").and_then(Value::as_str).and_then(MethodKind::by_name);
    let of_method =
        |it: &Declared| it.methods.is_empty() || method.is_some_and(|kind| kind.setting(it.setting.name).is_some());
    let of_data = |it: &Declared| OwnText::may_have(it.setting.name, resolved.own_text.is_some());
    let all = groups().iter().flat_map(|group| group.settings.iter().map(|it| (group.title, it)));
    let shown = |(group, it): (&'static str, &'static Declared)| {
        let name = it.setting.name;
        let value = values.get(name).or_else(|| given.get(name)).cloned().unwrap_or_default();
        let value = if value.is_null() { it.default_value(method).unwrap_or_default() } else { value };
        // The length of the run, of which it is a share, is not known before its data is read.
        let is_share = name == "warmup_steps" && resolved.own_text.is_some() && given.get(name).is_none();
        let value = if is_share { Value::Null } else { value };
        let rule = value.is_null().then(|| match is_share {
            true => WARMUP_OF_OWN_TEXT.to_owned(),
            false => it.default_words(method).unwrap_or_else(|| "none".into()),
        });
        Shown { group, name, value, rule, origin: origins.of(name, given) }
    };
    all.filter(|(_, it)| of_method(it) && of_data(it)).map(shown).collect()
}

/// The resolved settings by name. By way of text, so that numbers of 32 bits have the digits that they were given with.
fn values(resolved: &Resolved) -> Map<String, Value> {
    let text = serde_json::to_string(resolved).unwrap_or_default();
    let mut values: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    if let Some(Value::Object(recipe)) = values.remove("recipe") {
        values.extend(recipe);
    }
    values
}

/// A configuration file with all settings, each with its origin. What has no value is a comment.
fn text(shown: &[Shown]) -> String {
    let line = |it: &Shown| match &it.rule {
        None => assignment(it.name, &it.value),
        Some(rule) => format!("# {}: {rule}", it.name),
    };
    let width = shown.iter().map(|it| line(it).chars().count()).filter(|width| *width <= WIDE).max().unwrap_or(0);
    let section = |of: &[Shown]| {
        let lines = of.iter().map(|it| format!("{:width$}  # {}", line(it), it.origin));
        let title = of.first().map_or("", |it| it.group);
        format!("# ---- {title} ----\n{}", lines.collect::<Vec<_>>().join("\n"))
    };
    shown.chunk_by(|one, next| one.group == next.group).map(section).collect::<Vec<_>>().join("\n\n")
}
