//! `adamole config`: the settings of runs, as a file to start from and as a table.

use super::{
    Failure,
    output::{Format, print},
    settings::{Declared, Flags, Settings, groups},
};
use adamole::core::{MethodKind, SettingKind};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a commented configuration file for `adamole train --config`, with every setting
    Init(Box<InitArguments>),
    /// Print a table of all settings
    List(ListArguments),
}

#[derive(Args)]
pub(crate) struct InitArguments {
    /// How the file is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    settings: Flags<Settings>,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// How the table is printed: as Markdown, or as a list of objects
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Init(arguments) => {
            let file = file(&arguments.settings.0);
            print(arguments.format, &json!({ "file": file }), || file.trim_end().to_owned())
        }
        ConfigCommand::List(arguments) => print(arguments.format, &rows(), table),
    }
}

/// A configuration file: the settings that are given, and all others as comments with their defaults.
fn file(given: &Settings) -> String {
    let method = given.get("method").and_then(Value::as_str).and_then(MethodKind::by_name);
    let defaults = given.clone().with_compat();
    let mut text = String::from(
        "# A configuration file for `adamole train --config`. A line such as `#epochs = 10` holds a setting's default.\n\
         # Flags win over this file: --batch-size over batch_size.\n",
    );
    for group in groups() {
        text += &format!("\n# ---- {} ----\n", group.title);
        let has = |it: &&Declared| method.is_none_or(|kind| kind.setting(it.setting.name).is_some());
        let is_of_method = |it: &&Declared| it.methods.is_empty() || has(it);
        for it in group.settings.iter().filter(is_of_method) {
            let name = it.setting.name;
            text += &comment(&it.help());
            text += &match (given.get(name), defaults.get(name).cloned().or_else(|| it.default_value(method))) {
                (Some(value), _) => format!("{name} = {value}\n"),
                (None, Some(value)) => format!("#{name} = {value}\n"),
                (None, None) => match it.default_words(method) {
                    Some(rule) => format!("# Default: {rule}.\n#{name} =\n"),
                    None => format!("# Required.\n#{name} =\n"),
                },
            };
        }
    }
    text
}

/// A text as lines of comments, after an empty line.
fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 110 => *line += &format!(" {word}"),
            _ => lines.push(format!("# {word}")),
        }
    }
    format!("\n{}\n", lines.join("\n"))
}

/// A setting, as a row of the table.
#[derive(Serialize)]
struct Row {
    group: &'static str,
    name: &'static str,
    /// The methods that have it; empty where all runs have it.
    methods: Vec<&'static str>,
    values: String,
    /// Absent where it is required.
    default: Option<String>,
    reference: Option<String>,
    /// Whether each group of layers may have a value of its own.
    per_layer: bool,
    /// Whether a resumed run has to have the same value.
    changes_course: bool,
    help: String,
}

fn rows() -> Vec<Row> {
    let row = |group: &'static str, it: &'static Declared| Row {
        group,
        name: it.setting.name,
        methods: it.methods.iter().map(|kind| kind.name).collect(),
        values: match it.setting.kind() {
            _ if it.setting.per_layer => "integer, or one for each group".into(),
            SettingKind::Flag => "true or false".into(),
            SettingKind::Integer => "integer".into(),
            SettingKind::Number => "number".into(),
            SettingKind::Text => "text".into(),
            SettingKind::List => "list of words".into(),
            SettingKind::Choice(_) => it.setting.names().join(", "),
        },
        default: it.default_words(None),
        reference: it.setting.reference_words(),
        per_layer: it.setting.per_layer,
        changes_course: it.setting.changes_course,
        help: it.help(),
    };
    groups().iter().flat_map(|group| group.settings.iter().map(move |it| row(group.title, it))).collect()
}

/// The table in Markdown, in a section for each group.
fn table() -> String {
    let (mut text, mut group) = (String::new(), "");
    for row in rows() {
        if row.group != group {
            group = row.group;
            let gap = if text.is_empty() { "" } else { "\n" };
            text += &format!(
                "{gap}## {group}\n\n| setting | values | default | reference implementation | what it is |\n|---|---|---|---|---|\n"
            );
        }
        let default = row.default.unwrap_or_else(|| "required".into());
        let reference = row.reference.filter(|value| *value != default).unwrap_or_default();
        let name = format!("`{}`{}", row.name, if row.changes_course { "" } else { " \\*" });
        text += &format!("| {name} | {} | {default} | {reference} | {} |\n", row.values, row.help);
    }
    text += "\n## Methods\n\n| method | what it is | settings of its own |\n|---|---|---|\n";
    for kind in MethodKind::all() {
        let own: Vec<String> = kind.settings.iter().map(|setting| format!("`{}`", setting.name)).collect();
        text += &format!("| `{}` | {} | {} |\n", kind.name, kind.help, own.join(", "));
    }
    text.trim_end().to_owned()
}
