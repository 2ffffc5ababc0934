//! Messages as OpenAI's clients send them.

use super::error::ApiError;
use adamole_chat::Conversation;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    role: String,
    content: Content,
}

/// A text, or parts of one.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a content that is not a text")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Part {
    Text { text: String },
}

/// The conversation of some messages.
pub(super) fn conversation(messages: Value) -> Result<Conversation, ApiError> {
    let Value::Array(messages) = messages else {
        return Err(ApiError::field("messages", "messages is not a list"));
    };
    if messages.is_empty() {
        return Err(ApiError::field("messages", "messages is empty, expected at least one message"));
    }
    let turn = |(index, mut message): (usize, Value)| {
        // Clients send back what they got, with the fields that were null.
        if let Value::Object(fields) = &mut message {
            fields.retain(|_, value| !value.is_null());
        }
        let place = format!("messages[{index}]");
        let message: Message = serde_json::from_value(message)
            .map_err(|error| ApiError::field(&place, format!("{place}: {error}; expected role and content as text")))?;
        let text = match message.content {
            Content::Text(text) => text,
            Content::Parts(parts) => parts.into_iter().map(|Part::Text { text }| text).collect(),
        };
        Ok((message.role, text))
    };
    let turns = messages.into_iter().enumerate().map(turn).collect::<Result<Vec<(String, String)>, ApiError>>()?;
    Ok(Conversation::of_texts(turns.iter().map(|(role, text)| (role.as_str(), text.as_str()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn contents_are_texts_or_parts_of_one() {
        let found = conversation(json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
        ]));
        assert_eq!(found, Ok(Conversation::of_texts([("system", "Be brief."), ("user", "Hello")])));
        let message = |messages| conversation(messages).expect_err("wrong").body_json()["error"]["message"].to_string();
        assert!(message(json!([])).contains("messages is empty"));
        assert!(message(json!("Hello")).contains("messages is not a list"));
        let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
        assert!(message(image).contains("messages[0]"));
        assert!(conversation(json!([{"role": "assistant", "content": "a", "refusal": null}])).is_ok());
        assert!(message(json!([{"role": "user", "content": "a", "name": "b"}])).contains("unknown field `name`"));
    }
}
