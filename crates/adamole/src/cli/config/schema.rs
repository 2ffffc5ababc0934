//! `adamole config schema`: the settings of a run as a JSON Schema (draft 2020-12).

use crate::cli::settings::{Declared, declared};
use adamole::core::{Setting, SettingKind};
use serde_json::{Map, Value, json};

/// The schema of configuration files.
pub(super) fn schema() -> Value {
    let properties: Map<String, Value> = declared().map(|it| (it.setting.name.to_owned(), property(it))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a run of adamole",
        "description": "What `adamole train --config FILE` reads. Every setting is a flag, too, which wins over the file.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(it: &Declared) -> Value {
    let mut property = values(&it.setting);
    let default = match it.default_words(None) {
        Some(words) => format!(" Default: {words}."),
        None => " Required, here or as a flag.".into(),
    };
    property.insert("description".into(), (it.help() + &default).into());
    // Methods may have different defaults.
    let is_of_all = it.default_words(None) == it.setting.default_words();
    if let Some(default) = it.default_value(None).filter(|_| is_of_all) {
        property.insert("default".into(), default);
    }
    property.into()
}

/// What values a setting may have.
fn values(setting: &Setting) -> Map<String, Value> {
    let integer = || json!({ "type": "integer", "minimum": 0 });
    let values = match setting.kind() {
        // A number, one for each group of layers, or the name of a shape.
        _ if setting.per_layer => json!({ "anyOf": [
            integer(),
            { "type": "array", "items": integer(), "minItems": 1 },
            { "type": "string" },
        ] }),
        SettingKind::Flag => json!({ "type": "boolean" }),
        SettingKind::Integer => integer(),
        SettingKind::Number => json!({ "type": "number" }),
        SettingKind::Text => json!({ "type": "string" }),
        SettingKind::List => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        SettingKind::Choice(names) => json!({ "enum": names }),
    };
    match values {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}
