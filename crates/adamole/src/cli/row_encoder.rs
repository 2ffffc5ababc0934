//! Rows of one's own text as tokens, with those marked that have a loss.

use super::{Failure, chat, own_text::OwnText};
use adamole::{
    chat::{ChatTemplates, Conversation, Data, RenderOptions},
    data::{
        Tokenizer,
        text::{Encoded, LossOn, TextContent, TextEncodeOptions, TextEncoder, TextRow, TokenizedText},
    },
};
use rayon::prelude::*;
use std::{ops::Range, path::Path};

/// Rows as tokens, with those marked that have a loss.
pub(crate) struct RowEncoder<'a> {
    encoder: TextEncoder<'a>,
    loss_on: LossOn,
    template: Option<&'a str>,
    adapter: Option<&'a str>,
    folder: &'a Path,
}

impl<'a> RowEncoder<'a> {
    pub(crate) fn new(
        settings: &'a OwnText,
        max_tokens: usize,
        tokenizer: &'a Tokenizer,
        folder: &'a Path,
    ) -> Result<Self, Failure> {
        let OwnText { loss_on, chat_template, .. } = settings;
        let options = TextEncodeOptions { max_tokens, loss_on: *loss_on, ..TextEncodeOptions::default() };
        let encoder = TextEncoder::new(tokenizer, &options)?;
        Ok(Self { encoder, loss_on: *loss_on, template: chat_template.as_deref(), adapter: None, folder })
    }

    /// The same with the chat template of an adapter, where it has one and no other is set.
    pub(crate) fn trained_as(self, adapter: Option<&'a str>) -> Self {
        Self { adapter, ..self }
    }

    /// The tokens of rows, which are all of one shape.
    pub(crate) fn encode(&self, rows: &[TextRow]) -> Result<Encoded, Failure> {
        let Some(templates) = templates(rows, self.template, self.adapter, self.folder)? else {
            return Ok(self.encoder.encode(rows)?);
        };
        let encode = |(index, row): (usize, &TextRow)| {
            let (text, spans) = self.rendered(row, &templates)?;
            Ok(self.encoder.rendered(index, &text, &spans)?)
        };
        let texts: Vec<Result<TokenizedText, Failure>> = rows.par_iter().enumerate().map(encode).collect();
        texts.into_iter().collect()
    }

    /// The text of a conversation, and the bytes that are to be learned.
    fn rendered(&self, row: &TextRow, templates: &ChatTemplates) -> Result<(String, Vec<Range<usize>>), Failure> {
        let in_row = |what: String| Failure::Usage(format!("{}: {what}", row.origin));
        let TextContent::Conversation { messages, prompt_messages, .. } = &row.content else {
            return Err(in_row("expected a conversation, as in the first row".into()));
        };
        let conversation = conversation(row, messages.len())?;
        let (template, options) = (templates.for_conversation(&conversation)?, RenderOptions::default());
        let in_conversation = |error| Failure::Conversation(row.origin.to_string(), error);
        if self.loss_on == LossOn::All {
            return Ok((template.render(&conversation, &options).map_err(in_conversation)?.text, Vec::new()));
        }
        let found = template.assistant_spans(&conversation, &options).map_err(in_conversation)?;
        let answers: Vec<usize> = conversation.answers().collect();
        let learned = self.loss_on.messages(messages, *prompt_messages);
        if learned == answers {
            return Ok((found.text, found.spans));
        }
        if found.spans.len() != answers.len() {
            return Err(in_row(format!(
                "the chat template marks {} spans for {} answers, so that it is not known which are those of the completion; \
                 --loss-on assistant trains on all",
                found.spans.len(),
                answers.len()
            )));
        }
        let spans = answers.iter().zip(found.spans).filter(|(answer, _)| learned.contains(answer));
        Ok((found.text, spans.map(|(_, span)| span).collect()))
    }
}

/// The chat templates of the model in `folder`, or those in their place, where there are conversations among the rows.
pub(crate) fn templates(
    rows: &[TextRow],
    template: Option<&str>,
    adapter: Option<&str>,
    folder: &Path,
) -> Result<Option<ChatTemplates>, Failure> {
    let is_conversation = |row: &TextRow| matches!(row.content, TextContent::Conversation { .. });
    let has_any = rows.iter().any(is_conversation);
    has_any.then(|| chat::templates(template, adapter, Some(folder))).transpose()
}

/// The first messages of a row that is a conversation.
pub(crate) fn conversation(row: &TextRow, messages: usize) -> Result<Conversation, Failure> {
    let in_row = |what: String| Failure::Usage(format!("{}: {what}", row.origin));
    let TextContent::Conversation { messages: all, tools, .. } = &row.content else {
        return Err(in_row("expected a conversation".into()));
    };
    let record = |json: &str| match serde_json::from_str::<Data>(json) {
        Ok(Data::Record(record)) => Ok(record),
        Ok(other) => Err(in_row(format!("expected an object, found {}", other.kind()))),
        Err(error) => Err(in_row(error.to_string())),
    };
    let records = all.iter().take(messages).map(|message| record(message.json().as_str()));
    let mut conversation =
        Conversation::new(records.collect::<Result<_, _>>()?).map_err(|error| in_row(error.to_string()))?;
    conversation.tools = match tools {
        None => None,
        Some(tools) => Some(tools.iter().map(|tool| record(tool.as_str())).collect::<Result<_, _>>()?),
    };
    Ok(conversation)
}
