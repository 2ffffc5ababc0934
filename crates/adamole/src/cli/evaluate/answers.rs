//! Answers that a model generates to one's own texts, compared with those of the rows.

use super::super::{
    Failure,
    chat_prompt::render_prompt,
    headings,
    inputs::Base,
    own_text::OwnText,
    row_encoder::{conversation, templates},
};
use adamole::{
    data::text::{TextContent, TextRow},
    generate::{GeneratedText, StopStrings, TextGenerator},
    llama::{Generation, Generator},
};
use burn::tensor::Device;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use regex::Regex;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args)]
#[command(next_help_heading = headings::OWN_TEXT)]
pub(super) struct AnswerFlags {
    /// Also generate each row's answer, of at most N tokens, and compare it
    ///
    /// It is the completion, or the last answer of a conversation.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "128")]
    pub(super) generate: Option<usize>,
    /// Compare what this regular expression finds in the two answers
    ///
    /// It is its first group if it has one. Without it whole answers are compared, but for spaces around them.
    #[arg(long, value_name = "REGEX", requires = "generate")]
    extract: Option<Regex>,
    /// Rows generated at a time
    #[arg(long, default_value_t = 8, requires = "generate", value_name = "N")]
    generate_batch: usize,
    /// Write each row's answers to this JSON Lines file
    #[arg(long, value_name = "FILE", requires = "generate")]
    answers: Option<PathBuf>,
}

/// How generated answers compare.
#[derive(Serialize)]
pub(super) struct Answers {
    rows: usize,
    /// Rows whose answer equals that of the row.
    correct: usize,
    pub(super) exact_match: f64,
    standard_error: f64,
    /// Generated answers in which the regular expression found nothing; they are wrong.
    unparsed: usize,
    /// Answers that had no end within the limit.
    cut_off: usize,
}

/// A row of the file of answers.
#[derive(Serialize)]
struct Line<'a> {
    place: String,
    expected: &'a str,
    generated: &'a str,
    correct: bool,
}

/// What a row asks, and what it expects.
struct Question {
    place: String,
    prompt: Vec<u32>,
    expected: String,
}

/// Generates and compares the answers of all rows.
///
/// # Errors
/// A row has no answer, or a setting is not valid.
pub(super) fn compare(
    flags: &AnswerFlags,
    rows: &[TextRow],
    own: &OwnText,
    (base, adapter): (&Base, Option<&str>),
    device: &Device,
) -> Result<Option<Answers>, Failure> {
    let Some(most) = flags.generate else { return Ok(None) };
    if most == 0 || flags.generate_batch == 0 {
        return Err(Failure::Usage("--generate and --generate-batch take numbers of at least 1".into()));
    }
    let (questions, ends) = questions(rows, own, base, adapter)?;
    let extracted = |text: &str| match &flags.extract {
        None => Some(text.trim().to_owned()),
        Some(regex) => {
            let found = regex.captures(text)?;
            found.get(1).or_else(|| found.get(0)).map(|found| found.as_str().trim().to_owned())
        }
    };
    let expected = questions.iter().map(|question| {
        let nothing =
            || Failure::Usage(format!("{}: --extract finds nothing in {:?}", question.place, question.expected));
        extracted(&question.expected).ok_or_else(nothing)
    });
    let expected: Vec<String> = expected.collect::<Result<_, _>>()?;
    let generated = generate(&questions, Generation::greedy(most, ends), flags.generate_batch, base, device)?;
    let (mut correct, mut unparsed, mut lines) = (0, 0, String::new());
    for ((question, expected), text) in questions.iter().zip(&expected).zip(&generated) {
        let found = extracted(&text.text);
        let is_right = found.as_ref() == Some(expected);
        correct += usize::from(is_right);
        unparsed += usize::from(found.is_none());
        let (place, generated) = (question.place.clone(), text.text.as_str());
        let line = Line { place, expected: &question.expected, generated, correct: is_right };
        lines += &(serde_json::to_string(&line).unwrap_or_default() + "\n");
    }
    if let Some(path) = &flags.answers {
        std::fs::write(path, lines)
            .map_err(|source| Failure::Train(adamole::train::TrainError::Io { path: path.clone(), source }))?;
    }
    let (rows, share) = (questions.len(), correct as f64 / questions.len().max(1) as f64);
    let standard_error = (share * (1.0 - share) / rows.max(1) as f64).sqrt();
    let cut_off = generated.iter().filter(|text| text.finish == adamole::llama::Finish::Length).count();
    Ok(Some(Answers { rows, correct, exact_match: share, standard_error, unparsed, cut_off }))
}

impl Answers {
    /// For people.
    pub(super) fn text(&self) -> String {
        let Self { rows, correct, exact_match, standard_error, unparsed, cut_off } = self;
        let mut text = format!(
            "{correct} of {rows} generated answers are right ({:.1} %, standard error {:.1})",
            100.0 * exact_match,
            100.0 * standard_error
        );
        for (count, what) in [(unparsed, "have nothing that --extract finds"), (cut_off, "had no end")] {
            if *count > 0 {
                text += &format!("; {count} {what}");
            }
        }
        text
    }
}

/// The questions of rows, and the tokens that end an answer.
fn questions(
    rows: &[TextRow],
    own: &OwnText,
    base: &Base,
    adapter: Option<&str>,
) -> Result<(Vec<Question>, Vec<u32>), Failure> {
    let templates = templates(rows, own.chat_template.as_deref(), adapter, &base.folder)?;
    let ends = match &templates {
        Some(templates) => base.answer_end_tokens(templates)?,
        None => base.end_tokens()?,
    };
    let question = |row: &TextRow| {
        let place = row.origin.to_string();
        let without = |what: &str| Failure::Usage(format!("{place}: {what}, so that there is nothing to compare"));
        let (prompt, expected) = match (&row.content, &templates) {
            (TextContent::Completion { prompt, completion }, _) => (base.encode_text(prompt)?, completion.clone()),
            (TextContent::Conversation { messages, .. }, Some(templates)) => {
                let last = messages.iter().rposition(|message| message.is_assistant());
                let last = last.ok_or_else(|| without("no message is of the assistant"))?;
                let whole = conversation(row, last + 1)?;
                let answer = whole.messages().last().and_then(|answer| answer.get("content")?.as_text());
                let answer = answer.ok_or_else(|| without("the content of the last answer is no text"))?.to_owned();
                let in_row = |error| Failure::Conversation(place.clone(), error);
                let prompt = render_prompt(templates, &conversation(row, last)?).map_err(in_row)?;
                (base.encode_rendered(&prompt)?, answer)
            }
            _ => return Err(without("the row is one text")),
        };
        match prompt.is_empty() {
            true => Err(without("the prompt is empty")),
            false => Ok(Question { place, prompt, expected }),
        }
    };
    Ok((rows.iter().map(question).collect::<Result<_, _>>()?, ends))
}

/// The answers in the order of the questions, which are answered in batches of similar length.
fn generate(
    questions: &[Question],
    options: Generation,
    batch: usize,
    base: &Base,
    device: &Device,
) -> Result<Vec<GeneratedText>, Failure> {
    let style = ProgressStyle::with_template("{bar:24.cyan} {pos} of {len} answers, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(questions.len() as u64).with_style(style);
    let mut order: Vec<usize> = (0..questions.len()).collect();
    order.sort_by_key(|index| questions[*index].prompt.len());
    let none = StopStrings::new(Vec::<String>::new())?;
    let mut answers: Vec<(usize, GeneratedText)> = Vec::with_capacity(questions.len());
    for batch in order.chunks(batch) {
        let prompts: Vec<Vec<u32>> = batch.iter().map(|index| questions[*index].prompt.clone()).collect();
        let generator = Generator::new(&base.model, &prompts, &options, device)?;
        let texts = TextGenerator::answering(generator, &base.tokenizer, &none).finish()?;
        answers.extend(batch.iter().copied().zip(texts));
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    answers.sort_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, text)| text).collect())
}
