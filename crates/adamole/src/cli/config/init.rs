//! `adamole config init`: a configuration file to start from.

use super::assignment;
use crate::cli::settings::{Declared, Settings, groups};
use adamole::core::MethodKind;
use serde_json::Value;

/// A configuration file: the settings that are given, and all others as comments with their defaults.
pub(super) fn file(given: &Settings) -> String {
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
                (Some(value), _) => format!("{}\n", assignment(name, value)),
                (None, Some(value)) => format!("#{}\n", assignment(name, &value)),
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
