//! `adamole config list`: a table of all settings.

use crate::cli::settings::{Declared, groups};
use adamole::core::{MethodKind, SettingKind};
use serde::Serialize;

/// A setting, as a row of the table.
#[derive(Serialize)]
pub(super) struct Row {
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

pub(super) fn rows() -> Vec<Row> {
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
pub(super) fn table() -> String {
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
