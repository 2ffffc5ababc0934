//! Conversations as ShareGPT has them.

use super::fields::Fields;
use super::message::{Message, list};
use crate::RowError;
use crate::error::unexpected;
use crate::json::{Json, Object};
use crate::row::missing_among;

/// What a speaker is.
#[derive(Clone, Copy)]
enum Speaker {
    /// A role.
    Role(&'static str),
    /// The assistant that calls tools: the value is the JSON text of the call, or of a list of calls.
    Call,
}

/// The speakers, as `from` names them.
const SPEAKERS: [(&str, Speaker); 13] = [
    ("human", Speaker::Role("user")),
    ("user", Speaker::Role("user")),
    ("gpt", Speaker::Role("assistant")),
    ("chatgpt", Speaker::Role("assistant")),
    ("assistant", Speaker::Role("assistant")),
    ("model", Speaker::Role("assistant")),
    ("bot", Speaker::Role("assistant")),
    ("system", Speaker::Role("system")),
    ("tool", Speaker::Role("tool")),
    ("observation", Speaker::Role("tool")),
    ("function_response", Speaker::Role("tool")),
    ("function_call", Speaker::Call),
    ("tool_call", Speaker::Call),
];

/// The messages of a row, with its system message first.
pub(super) fn messages(row: &Fields<'_>) -> Result<Vec<Message>, RowError> {
    let path = row.column("conversations");
    let turns = list(row.required("conversations")?, path, "a list of turns")?;
    let read = |(i, turn)| message(turn, &format!("{path}[{i}]"));
    let mut messages: Vec<Message> = turns.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let system = row.optional_text("system")?;
    if !system.is_empty() {
        if messages.first().is_some_and(|first| first.role() == "system") {
            let expected = format!("no text, as `{path}` begins with a system message");
            return Err(Json::from(system).unexpected(row.column("system"), &expected));
        }
        messages.insert(0, Message::of("system", system));
    }
    Ok(messages)
}

/// The message of a turn. Its further keys stay as they are; a turn with `role` and `content` is a message already.
fn message(turn: Json, path: &str) -> Result<Message, RowError> {
    let turn = match turn {
        Json::Object(turn) => turn,
        other => return Err(other.unexpected(path, "a turn, an object with `from` and `value`")),
    };
    if turn.contains_key("role") && !turn.contains_key("from") {
        return Message::read(turn, path);
    }
    let text = |key: &str| match turn.get(key) {
        Some(Json::String(text)) => Ok(text.as_str()),
        Some(other) => Err(other.unexpected(&format!("{path}.{key}"), "a string")),
        None => Err(missing_among(&format!("{path}.{key}"), turn.keys().cloned().collect())),
    };
    let (from, value) = (text("from")?, text("value")?);
    let Some((_, speaker)) = SPEAKERS.iter().find(|(name, _)| *name == from) else {
        let names = SPEAKERS.map(|(name, _)| name).join(", ");
        return Err(Json::from(from).unexpected(&format!("{path}.from"), &format!("one of {names}")));
    };
    let calls = match speaker {
        Speaker::Role(_) => None,
        Speaker::Call => Some(calls(value, &format!("{path}.value"))?),
    };
    let mut object = Object::new();
    for (key, value) in &turn {
        let (key, value) = match (key.as_str(), speaker) {
            ("from", Speaker::Role(role)) => ("role", Json::from(*role)),
            ("from", Speaker::Call) => ("role", "assistant".into()),
            // Templates may join the content to other texts, which null is not.
            ("value", Speaker::Call) => ("content", "".into()),
            ("value", Speaker::Role(_)) => ("content", value.clone()),
            (key, _) => (key, value.clone()),
        };
        object.insert(key.to_owned(), value);
    }
    if let Some(calls) = calls {
        object.insert("tool_calls".into(), calls);
    }
    Message::read(object, path)
}

/// The tool calls in the JSON text at `path`: `{"name", "arguments"}`, or a list of these.
fn calls(text: &str, path: &str) -> Result<Json, RowError> {
    const EXPECTED: &str = "the JSON text of a call, {\"name\": ..., \"arguments\": ...}, or of a list of calls";
    let calls = match serde_json::from_str(text) {
        Ok(Json::List(calls)) => calls,
        Ok(call) => vec![call],
        Err(error) => return Err(unexpected(path, EXPECTED, format!("a string that is not JSON: {error}"))),
    };
    let wrap = |call: Json| match &call {
        Json::Object(fields)
            if matches!(fields.get("name"), Some(Json::String(_))) && fields.contains_key("arguments") =>
        {
            let wrapped = [("type".to_owned(), Json::from("function")), ("function".to_owned(), call)];
            Ok(Json::Object(wrapped.into_iter().collect()))
        }
        _ => Err(Json::from(text).unexpected(path, EXPECTED)),
    };
    calls.into_iter().map(wrap).collect::<Result<_, _>>().map(Json::List)
}
