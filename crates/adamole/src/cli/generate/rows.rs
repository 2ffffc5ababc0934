//! The lines of a file, continued in batches of similar length.

use super::{ChatTemplates, Failure, GenerateArguments, Source, name};
use crate::{
    cli::{
        chat_prompt::render_prompt,
        output::{print, written_or_closed},
        sampling::warn_of_positions,
    },
    stdout,
};
use adamole::{
    chat::{ChatError, Conversation, Data, Record},
    generate::{GeneratedText, TextGenerator},
    llama::{Generation, Generator},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

/// Batches whose rows are sorted together. The rows of a file are written in its order, once all of them are done.
const SORTED_TOGETHER: usize = 16;

/// The lines of a file that are not empty.
pub(super) struct Rows {
    path: PathBuf,
    rows: Vec<Row>,
    /// The chat template, where a row has messages.
    templates: Option<ChatTemplates>,
}

struct Row {
    /// Counted from 1.
    line: usize,
    record: Record,
    prompt: Prompt,
}

enum Prompt {
    /// A text to continue.
    Raw(String),
    /// A rendered conversation to answer.
    Rendered(String),
}

#[derive(Serialize)]
struct Report {
    rows: usize,
    tokens: usize,
    seconds: f64,
    tokens_per_second: f64,
}

/// Reads the rows of a file and renders their conversations; the templates are opened if there are any.
pub(super) fn read(path: &Path, open: impl Fn() -> Result<ChatTemplates, Failure>) -> Result<Rows, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::Usage(format!("--input {}: {error}", path.display())))?;
    let mut read = Rows { path: path.to_owned(), rows: Vec::new(), templates: None };
    for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |message: String| Failure::Line { path: path.to_owned(), line, message };
        let record = match serde_json::from_slice(text) {
            Ok(Data::Record(record)) => record,
            Ok(other) => return Err(wrong(format!("{}, expected an object", other.kind()))),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let prompt = match (record.get("prompt"), record.get("messages")) {
            (Some(Data::Text(prompt)), None) => Prompt::Raw(prompt.clone()),
            (Some(other), None) => return Err(wrong(format!("`prompt` is {}, expected a string", other.kind()))),
            (None, Some(_)) => {
                let in_row = |error| Failure::Conversation(format!("{}:{line}", path.display()), error);
                let asked = question(record.clone()).map_err(in_row)?;
                let templates = match read.templates.take() {
                    Some(templates) => templates,
                    None => open()?,
                };
                let rendered = render_prompt(&templates, &asked).map_err(in_row)?;
                read.templates = Some(templates);
                Prompt::Rendered(rendered)
            }
            (Some(_), Some(_)) => return Err(wrong("both `prompt` and `messages`, expected one of them".into())),
            (None, None) => return Err(wrong("neither `prompt` nor `messages`, expected one of them".into())),
        };
        read.rows.push(Row { line, record, prompt });
    }
    match read.rows.is_empty() {
        true => Err(Failure::Usage(format!("--input {} has no rows", path.display()))),
        false => Ok(read),
    }
}

/// The conversation of a row up to its last message of the user; an answer at its end is what a model is to give.
fn question(mut record: Record) -> Result<Conversation, ChatError> {
    if let Some(Data::List(messages)) = record.get_mut("messages") {
        let is_answer = |message: &Data| {
            let role = message.as_record().and_then(|message| message.get("role"));
            role.and_then(Data::as_text) == Some("assistant")
        };
        messages.pop_if(|message| is_answer(message));
    }
    Ok(Conversation::take(&mut record)?)
}

/// Continues the rows.
pub(super) fn run(
    rows: Rows,
    load: impl FnOnce() -> Result<Source, Failure>,
    arguments: &GenerateArguments,
) -> Result<(), Failure> {
    let source = load()?;
    let base = &source.base;
    let encode = |row: &Row| match &row.prompt {
        Prompt::Raw(text) => base.encode_text(text),
        Prompt::Rendered(text) => base.encode_rendered(text),
    };
    let wrong = |line, message| Failure::Line { path: rows.path.clone(), line, message };
    let mut prompts = Vec::with_capacity(rows.rows.len());
    for row in &rows.rows {
        let prompt = encode(row).map_err(|failure| match failure {
            Failure::Data(error) => wrong(row.line, error.to_string()),
            failure => failure,
        })?;
        if prompt.is_empty() {
            return Err(wrong(row.line, "the prompt is empty, expected at least one token".into()));
        }
        prompts.push(prompt);
    }
    warn_of_positions(base.model.config(), "the longest prompt has", prompts.iter().map(Vec::len).max().unwrap_or(0));
    let ends = base.end_tokens()?;
    let answer_ends = match &rows.templates {
        Some(templates) => base.answer_end_tokens(templates)?,
        None => ends.clone(),
    };
    let mut written = Written::open(arguments.output.as_deref(), rows.rows.len())?;
    let (started, mut tokens) = (Instant::now(), 0);
    let batch_size = usize::from(arguments.batch_size);
    let is_answer = |index: &usize| matches!(rows.rows[*index].prompt, Prompt::Rendered(_));
    let all: Vec<usize> = (0..rows.rows.len()).collect();
    for window in all.chunks(SORTED_TOGETHER * batch_size) {
        let mut sorted = window.to_vec();
        sorted.sort_by_key(|index| (is_answer(index), prompts[*index].len()));
        let mut texts: Vec<Option<GeneratedText>> = vec![None; window.len()];
        let alike = sorted.chunk_by(|one, other| is_answer(one) == is_answer(other));
        for batch in alike.flat_map(|alike| alike.chunks(batch_size)) {
            let of_batch: Vec<Vec<u32>> = batch.iter().map(|index| prompts[*index].clone()).collect();
            let answering = batch.first().is_some_and(is_answer);
            let eos = if answering { &answer_ends } else { &ends };
            let options = Generation { eos: eos.clone(), ..source.options.clone() };
            // Rows have the draws of their places in the file, whatever the batches are.
            let generator = Generator::new(&base.model, &of_batch, &options, &source.device)?
                .with_numbers(batch.iter().map(|index| *index as u64));
            let generator = match answering {
                true => TextGenerator::answering(generator, &base.tokenizer, &source.stop),
                false => TextGenerator::continuing(generator, &base.tokenizer, &source.stop)?,
            };
            for (index, text) in batch.iter().zip(generator.finish()?) {
                tokens += text.tokens;
                texts[index - window[0]] = Some(text);
            }
            written.bar.inc(batch.len() as u64);
        }
        for (row, text) in rows.rows[window[0]..].iter().zip(texts.into_iter().flatten()) {
            if !written.write(&row.record, text)? {
                return Ok(());
            }
        }
    }
    written.bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let report = Report { rows: rows.rows.len(), tokens, seconds, tokens_per_second: tokens as f64 / seconds };
    let text = || {
        let Report { rows, tokens, tokens_per_second, .. } = &report;
        format!("{rows} rows, {tokens} new tokens, {tokens_per_second:.1} tokens/s")
    };
    match arguments.output.is_some() {
        true => print(arguments.format, &report, text),
        false => {
            say!("{}", text());
            Ok(())
        }
    }
}

/// Where rows are written, with the progress on stderr.
struct Written {
    out: Box<dyn Write>,
    bar: ProgressBar,
}

impl Written {
    /// A new file, or stdout.
    fn open(path: Option<&Path>, rows: usize) -> Result<Self, Failure> {
        let out: Box<dyn Write> = match path {
            None => Box::new(stdout::open().map_err(Failure::Output)?),
            Some(path) => Box::new(File::create_new(path).map_err(|error| {
                let hint = match error.kind() {
                    io::ErrorKind::AlreadyExists => ": choose another --output, or remove that file",
                    _ => "",
                };
                Failure::Usage(format!("--output {}: {error}{hint}", path.display()))
            })?),
        };
        let style = ProgressStyle::with_template("{bar:24.cyan} {pos} of {len} rows, {eta} left");
        let bar = ProgressBar::new(rows as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Ok(Self { out, bar })
    }

    /// Writes a row with its text. False if the reader of a pipe has gone.
    fn write(&mut self, record: &Record, text: GeneratedText) -> Result<bool, Failure> {
        let mut record = record.clone();
        record.insert("generated".into(), Data::Text(text.text));
        record.insert("tokens".into(), Data::Integer(text.tokens as i128));
        record.insert("finish".into(), Data::from(name(text.finish)));
        let line = serde_json::to_string(&Data::Record(record)).map_err(io::Error::from);
        let written = line.and_then(|line| writeln!(self.out, "{line}")).and_then(|()| self.out.flush());
        let has_reader = written.is_ok();
        written_or_closed(written).map(|()| has_reader)
    }
}
