//! Conversations: messages, tools and documents.

use crate::{
    ConversationError,
    data::{Data, Record},
};

/// The keys under which the reasoning of an answer is given, the one that templates read first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The messages of a conversation, with the tools and documents that the model may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    messages: Vec<Record>,
    /// Descriptions of tools, usually JSON schemas of functions. None at all is not the same as an empty list.
    pub tools: Option<Vec<Record>>,
    /// Documents for answers with retrieval.
    pub documents: Option<Vec<Record>>,
}

impl Conversation {
    /// A conversation of these messages, without tools.
    ///
    /// Keys of a message whose value is null are dropped, and the reasoning of an answer is there under
    /// `reasoning_content` and `thinking`, as in transformers 5.
    ///
    /// # Errors
    /// A message has no role, or one that is not a string.
    pub fn new(messages: Vec<Record>) -> Result<Self, ConversationError> {
        let messages = messages.into_iter().enumerate().map(|(index, message)| normalised(index, message));
        Ok(Self { messages: messages.collect::<Result<_, _>>()?, ..Self::default() })
    }

    /// A conversation of messages with a role and a content.
    ///
    /// ```
    /// let conversation = adamole_chat::Conversation::of_texts([("user", "Hello"), ("assistant", "Hi!")]);
    /// assert_eq!(conversation.messages().len(), 2);
    /// ```
    pub fn of_texts<'a>(turns: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let message = |(role, content): (&str, &str)| {
            Record::from([("role".to_owned(), Data::from(role)), ("content".to_owned(), Data::from(content))])
        };
        Self { messages: turns.into_iter().map(message).collect(), ..Self::default() }
    }

    /// Takes `messages`, `tools` and `documents` out of a JSON object.
    ///
    /// # Errors
    /// `messages` is missing, one of the three is not an array of objects, or a message has no role.
    pub fn take(record: &mut Record) -> Result<Self, ConversationError> {
        let messages = take_list(record, "messages")?.ok_or(ConversationError::NoMessages)?;
        let tools = take_list(record, "tools")?;
        let documents = take_list(record, "documents")?;
        Ok(Self { tools, documents, ..Self::new(messages)? })
    }

    /// Its messages, as a template sees them.
    pub fn messages(&self) -> &[Record] {
        &self.messages
    }

    /// The role of a message.
    pub fn role(&self, message: usize) -> &str {
        self.messages.get(message).and_then(|message| message.get("role")?.as_text()).unwrap_or_default()
    }

    /// The indices of the messages of the assistant.
    pub fn answers(&self) -> impl Iterator<Item = usize> {
        (0..self.messages.len()).filter(|index| self.role(*index) == "assistant")
    }

    /// The same conversation with its first messages only.
    pub(crate) fn beginning(&self, length: usize) -> Self {
        Self { messages: self.messages[..length].to_vec(), ..self.clone() }
    }
}

fn normalised(index: usize, mut message: Record) -> Result<Record, ConversationError> {
    message.retain(|_, value| *value != Data::Null);
    match message.get("role") {
        Some(Data::Text(_)) => {}
        Some(other) => return Err(ConversationError::RoleNotText { message: index, found: other.kind() }),
        None => return Err(ConversationError::NoRole { message: index }),
    }
    let Some(reasoning) = REASONING.into_iter().find_map(|key| message.get(key)).cloned() else { return Ok(message) };
    if !message.contains_key("thinking") {
        message.shift_insert(0, "thinking".into(), reasoning.clone());
    }
    message.insert("reasoning_content".into(), reasoning);
    Ok(message)
}

fn take_list(record: &mut Record, field: &'static str) -> Result<Option<Vec<Record>>, ConversationError> {
    let items = match record.shift_remove(field) {
        None | Some(Data::Null) => return Ok(None),
        Some(Data::List(items)) => items,
        Some(other) => return Err(ConversationError::NotAList { field, found: other.kind() }),
    };
    let record = |(index, item)| match item {
        Data::Record(record) => Ok(record),
        other => Err(ConversationError::NotAnObject { field, index, found: other.kind() }),
    };
    items.into_iter().enumerate().map(record).collect::<Result<_, _>>().map(Some)
}
