//! `adamole items`: the items of a benchmark, or the rows of one's own text, as the model sees them.

use super::{
    Failure,
    fetching::tokenizer_folder,
    inputs::LongTexts,
    output::{Format, written_or_closed},
    own_text::{DataFlags, Described},
    settings::Flags,
};
mod rows;

use crate::stdout;
use adamole::{
    data::{Example, MultipleChoice, SplitPart, Tokenizer},
    llama::ModelConfig,
};
use clap::Args;
use serde::Serialize;
use std::io::{BufWriter, Write};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole items --benchmark copa --limit 3
  adamole items --data chats.jsonl --model HuggingFaceTB/SmolLM2-135M-Instruct --tokens --limit 3";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ItemsArguments {
    #[command(flatten)]
    data: Flags<DataFlags>,
    /// Split: train, validation or test, or a part of one, such as test[:200]
    ///
    /// Other parts are train[200:] and train[200:250].
    #[arg(long, default_value = "validation")]
    split: SplitPart,
    /// Print the first N items only
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Add the token ids that training and evaluation see; needs --model
    ///
    /// Of text of one's own, also what has a loss.
    #[arg(long, value_name = "N", requires = "model")]
    tokens: bool,
    /// Model whose tokenizer is used: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long)]
    model: Option<String>,
    /// How the items are printed
    #[arg(long, value_name = "N", value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    benchmark: &'a str,
    /// Row of the split, counted from 1.
    row: usize,
    /// Ends in "Answer: ", as in the reference implementation.
    prompt: String,
    /// The prompt with its answer; null where there is none.
    text: Option<String>,
    answer: Option<&'a str>,
    choices: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens<'a>>,
}

#[derive(Serialize)]
struct Tokens<'a> {
    /// The text with its answer, as training sees it.
    train: &'a [u32],
    /// The prompt, as evaluation sees it.
    evaluate: &'a [u32],
    /// The token of each choice's letter.
    choices: &'a [u32],
    truncated: bool,
}

/// Items that are tokenised and printed together, so that memory does not grow with the split.
const CHUNK: usize = 1024;

pub(crate) fn run(arguments: &ItemsArguments) -> Result<(), Failure> {
    let reading = match arguments.data.0.described()? {
        Described::Benchmark(reading) => reading,
        Described::OwnText(reading, own) => return rows::run(arguments, &reading, &own),
    };
    let items = reading.open()?.without_cache();
    let folder =
        arguments.model.as_ref().filter(|_| arguments.tokens).map(|model| tokenizer_folder(model)).transpose()?;
    let tokenizer = folder.as_deref().map(Tokenizer::from_folder).transpose()?;
    // A folder may hold a tokenizer alone.
    let config = folder.and_then(|folder| ModelConfig::from_folder(&folder).ok());
    let mut long = LongTexts::beyond(config.map_or(usize::MAX, |config| config.max_position_embeddings));
    let mut out = BufWriter::new(stdout::open().map_err(Failure::Output)?);
    let mut print = |chunk: &mut Vec<MultipleChoice>| -> Result<(), Failure> {
        let encode = |tokenizer| items.encode(tokenizer, arguments.split.split, chunk);
        let examples = tokenizer.as_ref().map(encode).transpose()?.unwrap_or_default();
        examples.iter().for_each(|example| long.count(example.text.len()));
        for (index, item) in chunk.iter().enumerate() {
            let text = match arguments.format {
                Format::Json => serde_json::to_string(&line(item, examples.get(index))).unwrap_or_default(),
                Format::Text => {
                    let ids = examples.get(index).map(|example| format!("\n{:?}", example.text)).unwrap_or_default();
                    format!("{}{ids}\n", item.text().unwrap_or_else(|| item.prompt.clone()))
                }
            };
            writeln!(out, "{text}").map_err(Failure::Output)?;
        }
        chunk.clear();
        Ok(())
    };
    let mut chunk = Vec::new();
    let read = items.each(arguments.split.limited(arguments.limit), |item| {
        chunk.push(item);
        if chunk.len() == CHUNK { print(&mut chunk) } else { Ok(()) }
    });
    // Items before a bad row are printed before its error.
    let printed = print(&mut chunk).and_then(|()| out.flush().map_err(Failure::Output));
    long.warn();
    match printed.and(read) {
        Err(Failure::Output(error)) => written_or_closed(Err(error)),
        result => result.map(drop),
    }
}

fn line<'a>(item: &'a MultipleChoice, example: Option<&'a Example>) -> Line<'a> {
    Line {
        benchmark: &item.benchmark,
        row: item.row,
        prompt: item.prompt_published(),
        text: item.text(),
        answer: item.answer.map(|answer| item.choices[answer].letter.as_str()),
        choices: item.choices.iter().map(|choice| choice.text.as_str()).collect(),
        tokens: example.map(|example| Tokens {
            train: &example.text,
            evaluate: &example.prompt,
            choices: &example.choice_ids,
            truncated: example.truncated,
        }),
    }
}
