//! Chat templates: their language, where they come from, and the spans of answers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod built_in;
mod conversation;
mod expressions;
mod folder;
mod rendering;
mod spans;

use adamole_chat::{ChatTemplate, Conversation, Data, Record};

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::from_source(source, "test").unwrap()
}

fn record(json: &str) -> Record {
    match serde_json::from_str(json).unwrap() {
        Data::Record(record) => record,
        other => panic!("{other:?}"),
    }
}

fn conversation(json: &str) -> Conversation {
    Conversation::take(&mut record(json)).unwrap()
}
