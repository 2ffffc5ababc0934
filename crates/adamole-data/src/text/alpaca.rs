//! Instructions as Alpaca has them.

use super::fields::Fields;
use super::message::{Message, list};
use crate::RowError;
use crate::json::Json;

/// The messages of a row: the system message, the history, the instruction with its input, the output.
///
/// The message with the instruction also has `instruction` and `input` as keys of their own, for templates that print them apart.
pub(super) fn messages(row: &Fields<'_>) -> Result<Vec<Message>, RowError> {
    let mut messages = Vec::new();
    let system = row.optional_text("system")?;
    if !system.is_empty() {
        messages.push(Message::of("system", system));
    }
    for [asked, answered] in history(row)? {
        messages.push(Message::of("user", &asked));
        messages.push(Message::of("assistant", &answered));
    }
    let (instruction, input) = (row.text("instruction")?, row.optional_text("input")?);
    let content = match input.trim().is_empty() {
        true => instruction.to_owned(),
        false => format!("{instruction}\n\n{input}"),
    };
    messages.push(Message::with("user", &content, [("instruction", instruction), ("input", input)]));
    messages.push(Message::of("assistant", row.text("output")?));
    Ok(messages)
}

/// The turns before the instruction: pairs of an instruction and its output.
fn history(row: &Fields<'_>) -> Result<Vec<[String; 2]>, RowError> {
    const EXPECTED: &str = "a pair of texts, an instruction and its output";
    let path = row.column("history");
    let Some(value) = row.value("history") else { return Ok(Vec::new()) };
    let pair = |(i, pair): (usize, Json)| match &pair {
        Json::List(texts) => match texts.as_slice() {
            [Json::String(asked), Json::String(answered)] => Ok([asked.clone(), answered.clone()]),
            _ => Err(pair.unexpected(&format!("{path}[{i}]"), EXPECTED)),
        },
        other => Err(other.unexpected(&format!("{path}[{i}]"), EXPECTED)),
    };
    list(value, path, "a list of pairs of texts")?.into_iter().enumerate().map(pair).collect()
}
