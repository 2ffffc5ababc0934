//! `adamole items`: what anyone looks at first when a score is odd.

use super::{Failure, inputs::model_folder, output::Format};
use adamole::data::{Benchmark, EncodeOptions, Encoder, Example, Item, Split, Tokenizer, read_split};
use clap::Args;
use serde::Serialize;
use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

#[derive(Args)]
pub(crate) struct ItemsArguments {
    /// Benchmark, by name
    #[arg(long)]
    benchmark: String,
    /// Folder of the benchmark
    #[arg(long)]
    data: PathBuf,
    /// train, validation or test
    #[arg(long, default_value = "validation")]
    split: String,
    /// Print the first N items only
    #[arg(long)]
    limit: Option<usize>,
    /// Add the token ids that training and evaluation see; needs --model
    #[arg(long, requires = "model")]
    tokens: bool,
    /// Model whose tokenizer is used: a Hugging Face folder, or org/name[@revision] in the local cache
    #[arg(long)]
    model: Option<String>,
    /// Longest text in tokens; longer prompts lose their beginning
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// How the items are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    /// Row of the file, counted from 1.
    row: usize,
    /// Ends in "Answer: ", as published.
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

pub(crate) fn run(arguments: &ItemsArguments) -> Result<(), Failure> {
    let benchmark = Benchmark::by_name(&arguments.benchmark)?;
    let split: Split = arguments.split.parse()?;
    let items = read_split(benchmark, &arguments.data, split, arguments.limit)?;
    let examples = match arguments.model.as_ref().filter(|_| arguments.tokens) {
        None => Vec::new(),
        Some(model) => {
            let tokenizer = Tokenizer::from_folder(&model_folder(model)?)?;
            let options = EncodeOptions { max_tokens: arguments.max_tokens, ..EncodeOptions::default() };
            let encoded = Encoder::new(&tokenizer, &options)?.encode(&items);
            encoded.map_err(|error| Failure::Item(arguments.data.join(format!("{split}.jsonl")), error))?
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    for (index, item) in items.iter().enumerate() {
        let text = match arguments.format {
            Format::Json => serde_json::to_string(&line(item, examples.get(index))).unwrap_or_default(),
            Format::Text => {
                let ids = examples.get(index).map(|example| format!("\n{:?}", example.ids)).unwrap_or_default();
                format!("{}{ids}\n", item.text().unwrap_or_else(|| item.prompt.clone()))
            }
        };
        // A closed pipe is the reader's choice, not an error.
        if writeln!(out, "{text}").is_err() {
            break;
        }
    }
    Ok(())
}

fn line<'a>(item: &'a Item, example: Option<&'a Example>) -> Line<'a> {
    Line {
        row: item.id,
        prompt: item.prompt_published(),
        text: item.text(),
        answer: item.answer.map(|answer| item.choices[answer].letter.as_str()),
        choices: item.choices.iter().map(|choice| choice.text.as_str()).collect(),
        tokens: example.map(|example| Tokens {
            train: &example.ids,
            evaluate: &example.ids[..example.prompt_len],
            choices: &example.choice_ids,
            truncated: example.truncated,
        }),
    }
}
