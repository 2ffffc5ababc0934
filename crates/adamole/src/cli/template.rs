//! `adamole template`: conversations as text by a chat template, with the spans that the model is to produce.

use super::{
    Failure,
    chat::{ChatTemplateFlag, chat_hint},
    output::written_or_closed,
};
use crate::stdout;
use adamole::chat::{
    AssistantSpans, ChatError, ChatTemplates, Conversation, Data, NaiveDateTime, Record, RenderOptions, SPECIAL_TOKENS,
    SpansBy,
};
use clap::Args;
use serde::Serialize;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    ops::Range,
    path::PathBuf,
};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole template --model HuggingFaceTB/SmolLM2-135M-Instruct --input chats.jsonl";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TemplateArguments {
    /// Model whose chat template and special tokens are used: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long, required_unless_present = "template")]
    model: Option<String>,
    #[command(flatten)]
    template: ChatTemplateFlag,
    /// File of conversations as JSON Lines, one object a line; without it, stdin
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// What is written for a line.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Rendered(Spanned),
    Failed { error: String },
}

#[derive(Serialize)]
struct Spanned {
    text: String,
    /// Half-open spans in characters, and in bytes; null where they are not known.
    generated_chars: Option<Vec<[usize; 2]>>,
    generated_bytes: Option<Vec<[usize; 2]>>,
    spans_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spans_error: Option<String>,
}

pub(crate) fn run(arguments: &TemplateArguments) -> Result<(), Failure> {
    let templates = arguments.template.open(None, arguments.model.as_deref())?;
    let mut input: Box<dyn BufRead> = match &arguments.input {
        None => Box::new(io::stdin().lock()),
        Some(path) => {
            let file = File::open(path);
            Box::new(BufReader::new(
                file.map_err(|error| Failure::Usage(format!("--input {}: {error}", path.display())))?,
            ))
        }
    };
    let mut out = BufWriter::new(stdout::open().map_err(Failure::Output)?);
    let (mut failed, mut lines, mut number) = (0, 0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => {}
            Err(error) => return Err(Failure::Usage(format!("the conversations cannot be read: {error}"))),
        }
        lines += 1;
        let answer = match render(&templates, &line) {
            Ok(spanned) => Answer::Rendered(spanned),
            Err(error) => {
                failed += 1;
                Answer::Failed { error: error.message(number) }
            }
        };
        let text = serde_json::to_string(&answer).unwrap_or_default();
        // Each answer is on its way before the next line is read: who writes the lines may wait for it.
        if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
            return written_or_closed(Err(error));
        }
    }
    if failed > 0 { Err(Failure::Conversations { failed, lines }) } else { Ok(()) }
}

/// Why a line has no rendering.
enum LineError {
    /// It is not what a line has to be.
    Line(String),
    /// The template does not render its conversation.
    Chat(ChatError),
}

impl LineError {
    /// A line's own error says which line; the template's own message stays as it is.
    fn message(&self, number: usize) -> String {
        match self {
            Self::Line(message) => format!("line {number}: {message}"),
            Self::Chat(ChatError::Conversation(error)) => format!("line {number}: {error}"),
            Self::Chat(error) => error.to_string(),
        }
    }
}

impl From<ChatError> for LineError {
    fn from(error: ChatError) -> Self {
        Self::Chat(error)
    }
}

fn render(templates: &ChatTemplates, line: &[u8]) -> Result<Spanned, LineError> {
    let mut record = match serde_json::from_slice(line) {
        Ok(Data::Record(record)) => record,
        Ok(other) => return Err(LineError::Line(format!("{}, expected an object", other.kind()))),
        Err(error) => return Err(LineError::Line(error.to_string())),
    };
    let conversation = Conversation::take(&mut record).map_err(ChatError::from)?;
    let template = templates.for_conversation(&conversation)?;
    let mut options = RenderOptions {
        add_generation_prompt: match record.shift_remove("add_generation_prompt") {
            None | Some(Data::Null) => false,
            Some(Data::Bool(value)) => value,
            Some(other) => return Err(unexpected("add_generation_prompt", &other, "a boolean")),
        },
        now: record.shift_remove("now").map(|now| present(&now)).transpose()?.flatten(),
        ..RenderOptions::default()
    };
    let extra = match record.shift_remove("extra") {
        None | Some(Data::Null) => Record::new(),
        Some(Data::Record(extra)) => extra,
        Some(other) => return Err(unexpected("extra", &other, "an object")),
    };
    let mut tokens = template.special_tokens().clone();
    for name in SPECIAL_TOKENS {
        match record.shift_remove(name) {
            None => {}
            Some(Data::Null) => tokens.remove(name),
            Some(Data::Text(text)) => tokens.set(name, &text),
            Some(other) => return Err(unexpected(name, &other, "a string or null")),
        }
    }
    options.special_tokens = Some(tokens);
    options.variables = record.into_iter().chain(extra).collect();
    match template.assistant_spans(&conversation, &options) {
        Ok(AssistantSpans { text, spans, found_by }) => Ok(Spanned {
            generated_chars: Some(characters(&text, &spans)),
            generated_bytes: Some(spans.iter().map(|span| [span.start, span.end]).collect()),
            spans_by: Some(match found_by {
                SpansBy::Generation => "generation",
                SpansBy::Prefixes => "prefixes",
            }),
            spans_error: None,
            text,
        }),
        Err(
            error @ (ChatError::MisplacedGeneration { .. }
            | ChatError::NotAPrefix { .. }
            | ChatError::PrefixRefused { .. }),
        ) => Ok(Spanned {
            text: template.render(&conversation, &options)?.text,
            generated_chars: None,
            generated_bytes: None,
            spans_by: None,
            spans_error: Some(match chat_hint(&error) {
                Some(hint) => format!("{error}; {hint}"),
                None => error.to_string(),
            }),
        }),
        Err(error) => Err(error.into()),
    }
}

fn unexpected(field: &str, found: &Data, expected: &str) -> LineError {
    LineError::Line(format!("`{field}` is {}, expected {expected}", found.kind()))
}

/// The date and time of an ISO text, as the clock on the wall shows it; none for null.
fn present(now: &Data) -> Result<Option<NaiveDateTime>, LineError> {
    let expected = "a date and time such as 2025-01-31T12:00:00";
    let text = match now {
        Data::Null => return Ok(None),
        Data::Text(text) => text,
        other => return Err(unexpected("now", other, expected)),
    };
    let local = text.replacen(' ', "T", 1);
    // An offset says how the clock is set, and is not shown by it.
    let without_offset = local.find('T').and_then(|time| {
        let offset = local[time..].find(['+', '-', 'Z'])?;
        Some(&local[..time + offset])
    });
    let shown = without_offset.unwrap_or(&local);
    let shown = if shown.contains('T') { shown.to_owned() } else { format!("{shown}T00:00:00") };
    let parsed = shown.parse().or_else(|_| format!("{shown}:00").parse());
    parsed.map(Some).map_err(|_| LineError::Line(format!("`now` is `{text}`, expected {expected}")))
}

/// Spans of bytes as spans of characters.
fn characters(text: &str, spans: &[Range<usize>]) -> Vec<[usize; 2]> {
    let count = |end: usize| text[..end].chars().count();
    spans.iter().map(|span| [count(span.start), count(span.end)]).collect()
}
