//! Rows of one's own text.

use super::{
    super::{
        Failure,
        fetching::tokenizer_folder,
        output::{Format, written_or_closed},
        own_text::OwnText,
        reading::Reading,
        row_encoder::RowEncoder,
    },
    ItemsArguments,
};
use crate::stdout;
use adamole::data::{
    Tokenizer,
    text::{TextContent, TextRow, TokenizedText},
};
use serde::Serialize;
use std::{
    io::{self, BufWriter, IsTerminal, Write},
    ops::Range,
};

/// One line of JSON.
#[derive(Serialize)]
struct Line {
    /// The file and line that the row was read from.
    place: String,
    /// The row as it is read; with --tokens the decoded text that the model sees.
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
}

#[derive(Serialize)]
struct Tokens {
    ids: Vec<u32>,
    /// Ranges of them that have a loss.
    labelled: Vec<[usize; 2]>,
    truncated: bool,
}

/// What stands around tokens with a loss: on a terminal a colour.
const MARKS: [&str; 2] = ["\u{27e6}", "\u{27e7}"];
const COLOUR: [&str; 2] = ["\u{1b}[32m", "\u{1b}[0m"];

pub(super) fn run(arguments: &ItemsArguments, reading: &Reading, own: &OwnText) -> Result<(), Failure> {
    let rows = own.read_part(reading, arguments.split.limited(arguments.limit))?;
    let folder = arguments.model.as_deref().filter(|_| arguments.tokens).map(tokenizer_folder).transpose()?;
    let encoded = match &folder {
        None => None,
        Some(folder) => {
            let tokenizer = Tokenizer::from_folder(folder)?;
            let encoded = RowEncoder::new(own, reading.max_tokens, &tokenizer, folder)?.encode(&rows)?;
            Some((tokenizer, encoded))
        }
    };
    let mut out = BufWriter::new(stdout::open().map_err(Failure::Output)?);
    let marks = if io::stdout().is_terminal() { COLOUR } else { MARKS };
    let print = |(place, text, tokens): (String, String, Option<Tokens>)| match arguments.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string(&Line { place, text, tokens }).unwrap_or_default()),
        Format::Text => writeln!(out, "{place}\n{text}\n"),
    };
    let lines: Vec<_> = match &encoded {
        None => rows.iter().map(|row| (row.origin.to_string(), plain(row), None)).collect(),
        Some((tokenizer, encoded)) => {
            for row in &encoded.dropped {
                say!("warning: {} has no label within {} tokens", rows[*row].origin, reading.max_tokens);
            }
            let line = |text: &TokenizedText| {
                let shown = match arguments.format {
                    Format::Json => tokenizer.decode(&text.ids)?,
                    Format::Text => marked(tokenizer, text, marks)?,
                };
                let labelled = text.labelled.iter().map(|range| [range.start, range.end]).collect();
                let tokens = Tokens { ids: text.ids.clone(), labelled, truncated: text.truncated };
                Ok((rows[text.row].origin.to_string(), shown, Some(tokens)))
            };
            encoded.texts.iter().map(line).collect::<Result<_, Failure>>()?
        }
    };
    let written = lines.into_iter().try_for_each(print).and_then(|()| out.flush());
    written_or_closed(written)
}

/// A row as it was read.
fn plain(row: &TextRow) -> String {
    match &row.content {
        TextContent::Text(text) => text.clone(),
        TextContent::Completion { prompt, completion } => format!("{prompt}{completion}"),
        TextContent::Conversation { messages, .. } => {
            messages.iter().map(|message| message.json().as_str()).collect::<Vec<_>>().join("\n")
        }
    }
}

/// A text with marks around what has a loss.
fn marked(tokenizer: &Tokenizer, text: &TokenizedText, [before, after]: [&str; 2]) -> Result<String, Failure> {
    let (mut shown, mut end) = (String::new(), 0);
    let decoded = |range: Range<usize>| tokenizer.decode_with_special_tokens(&text.ids[range]);
    for range in &text.labelled {
        shown += &decoded(end..range.start)?;
        shown += &format!("{before}{}{after}", decoded(range.clone())?);
        end = range.end;
    }
    Ok(shown + &decoded(end..text.ids.len())?)
}
