//! The messages of a conversation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::RowError;
use crate::error::unexpected;
use crate::json::{Json, Object};
use crate::row::missing_among;

/// The text of a JSON value, with the keys of its objects in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(String);

impl JsonText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Json> for JsonText {
    fn from(json: &Json) -> Self {
        Self(json.to_string())
    }
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    role: String,
    json: JsonText,
    is_blank: bool,
}

/// The role of the messages that a model writes.
const ASSISTANT: &str = "assistant";

impl Message {
    /// The role, as in `user`, `assistant`, `system` or `tool`.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The message as a JSON object with all its keys.
    pub fn json(&self) -> &JsonText {
        &self.json
    }

    /// Whether it is a message that the model is to write.
    pub fn is_assistant(&self) -> bool {
        self.role == ASSISTANT
    }

    /// Whether it says nothing: a content without other characters than spaces, and no tool call or other key.
    pub(super) fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// A message of a role and a text.
    pub(super) fn of(role: &str, content: &str) -> Self {
        Self::with(role, content, [])
    }

    /// A message of a role, a text and further keys.
    pub(super) fn with<const N: usize>(role: &str, content: &str, more: [(&str, &str); N]) -> Self {
        let keys = [("role", role), ("content", content)].into_iter().chain(more);
        let object = keys.map(|(key, value)| (key.to_owned(), Json::from(value))).collect();
        Self { role: role.into(), json: (&Json::Object(object)).into(), is_blank: content.trim().is_empty() }
    }

    /// The message that is the object at `path`.
    ///
    /// Its role is a text. Its content is a text or a list of parts; it may be null or missing in a message that says something by
    /// another key, as by `tool_calls`.
    pub(super) fn read(object: Object, path: &str) -> Result<Self, RowError> {
        let role = match object.get("role") {
            Some(Json::String(role)) if !role.is_empty() => role.clone(),
            Some(other) => return Err(other.unexpected(&format!("{path}.role"), "the name of a role")),
            None => return Err(missing(&object, path, "role")),
        };
        let has_more =
            object.iter().any(|(key, value)| !["role", "content", "name"].contains(&key.as_str()) && !value.is_null());
        let at = || format!("{path}.content");
        let is_blank = match object.get("content") {
            Some(Json::String(text)) => text.trim().is_empty(),
            Some(Json::List(parts)) => {
                if let Some((i, part)) = parts.iter().enumerate().find(|(_, part)| !matches!(part, Json::Object(_))) {
                    return Err(part.unexpected(&format!("{}[{i}]", at()), "an object, a part of the content"));
                }
                parts.is_empty()
            }
            Some(Json::Null) | None if has_more => true,
            Some(other) => return Err(other.unexpected(&at(), "a string or a list of parts")),
            None => return Err(missing(&object, path, "content")),
        };
        Ok(Self { role, json: (&Json::Object(object)).into(), is_blank: is_blank && !has_more })
    }
}

fn missing(object: &Object, path: &str, key: &str) -> RowError {
    missing_among(&format!("{path}.{key}"), object.keys().cloned().collect())
}

/// The list at `path`, which may also be the JSON text of one, as tables have it.
pub(super) fn list(value: &Json, path: &str, what: &str) -> Result<Vec<Json>, RowError> {
    match value {
        Json::List(list) => Ok(list.clone()),
        Json::String(text) => match serde_json::from_str(text) {
            Ok(Json::List(list)) => Ok(list),
            Ok(other) => Err(other.unexpected(path, &format!("the JSON text of {what}"))),
            Err(error) => Err(unexpected(path, what, format!("a string that is not JSON: {error}"))),
        },
        other => Err(other.unexpected(path, what)),
    }
}

/// The messages at `path`.
pub(super) fn messages(value: &Json, path: &str) -> Result<Vec<Message>, RowError> {
    let read = |(i, element)| {
        let path = format!("{path}[{i}]");
        match element {
            Json::Object(object) => Message::read(object, &path),
            other => Err(other.unexpected(&path, "a message, an object with `role` and `content`")),
        }
    };
    list(value, path, "a list of messages")?.into_iter().enumerate().map(read).collect()
}

/// The tools at `path`: objects, or their JSON texts. `None` if there are none.
pub(super) fn tools(value: Option<&Json>, path: &str) -> Result<Option<Vec<JsonText>>, RowError> {
    let list = match value {
        None => return Ok(None),
        Some(Json::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(value) => list(value, path, "a list of tools")?,
    };
    let read = |(i, tool): (usize, Json)| {
        let path = format!("{path}[{i}]");
        let parsed = match &tool {
            Json::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        };
        match parsed.as_ref().unwrap_or(&tool) {
            object @ Json::Object(_) => Ok(object.into()),
            _ => Err(tool.unexpected(&path, "a tool, an object or its JSON text")),
        }
    };
    let tools: Vec<JsonText> = list.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(Some(tools).filter(|tools| !tools.is_empty()))
}
