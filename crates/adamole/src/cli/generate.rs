//! `adamole generate`.

mod rows;

use super::{
    Failure,
    chat::ChatTemplateFlag,
    chat_prompt::render_prompt,
    headings,
    inputs::Base,
    output::{Format, print, written_or_closed},
    sampling::{SamplingFlags, warn_of_positions},
    weights::WeightFlags,
};
use crate::stdout;
use adamole::{
    chat::{ChatTemplates, Conversation},
    device,
    generate::{GeneratedText, StopStrings, TextGenerator},
    llama::{Finish, Generation, Generator},
};
use burn::tensor::Device;
use clap::{ArgGroup, Args};
use serde::Serialize;
use std::{io::Write, path::PathBuf, time::Instant};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole generate --model HuggingFaceTB/SmolLM2-135M --prompt 'The rope was cut, so'
  adamole generate --model HuggingFaceTB/SmolLM2-135M-Instruct --message 'What is a rope?'
  adamole generate --model HuggingFaceTB/SmolLM2-135M --input prompts.jsonl --output texts.jsonl";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("source").required(true).args(["prompt", "message", "input"])))]
pub(crate) struct GenerateArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long, help_heading = headings::RUN)]
    model: String,
    /// Adapter: a folder, a run directory, or org/name on the hub [the base alone]
    #[arg(long, value_name = "NAME", help_heading = headings::RUN)]
    adapter: Option<String>,
    /// Text to continue
    #[arg(long, help_heading = headings::PROMPT)]
    prompt: Option<String>,
    /// Message to answer, as a conversation by the chat template
    #[arg(long, help_heading = headings::PROMPT, value_name = "TEXT")]
    message: Option<String>,
    /// System message before the message
    #[arg(long, help_heading = headings::PROMPT, value_name = "TEXT", requires = "message", conflicts_with_all = ["prompt", "input"])]
    system: Option<String>,
    #[command(flatten)]
    template: ChatTemplateFlag,
    /// JSON Lines, each with a "prompt" to continue or "messages" to answer
    #[arg(long, help_heading = headings::PROMPT, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where the lines of the input go [stdout]
    ///
    /// They get "generated", "tokens" and "finish".
    #[arg(long, help_heading = headings::OUTPUT, value_name = "FILE", requires = "input", conflicts_with_all = ["prompt", "message"])]
    output: Option<PathBuf>,
    /// Lines of the input that are continued together
    #[arg(
        help_heading = headings::RUN, long, value_name = "N", default_value_t = 8, conflicts_with_all = ["prompt", "message"],
        value_parser = clap::value_parser!(u16).range(1..),
    )]
    batch_size: u16,
    /// Largest number of new tokens
    #[arg(long, value_name = "N", help_heading = headings::SAMPLING, default_value_t = 64)]
    max_new_tokens: usize,
    #[command(flatten)]
    sampling: SamplingFlags,
    #[command(flatten)]
    weights: WeightFlags,
    /// Device: auto, cpu, cuda, vulkan or wgpu
    ///
    /// The last three may have an :INDEX.
    #[arg(long, help_heading = headings::RUN, default_value = "auto")]
    device: String,
    /// How the result is printed
    #[arg(long, help_heading = headings::OUTPUT, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    text: String,
    tokens: usize,
    finish: &'static str,
    seconds: f64,
    tokens_per_second: f64,
}

/// What is generated with.
struct Source {
    base: Base,
    device: Device,
    options: Generation,
    stop: StopStrings,
}

pub(crate) fn run(arguments: GenerateArguments) -> Result<(), Failure> {
    let (options, stop) = arguments.sampling.options(arguments.max_new_tokens)?;
    if arguments.prompt.is_some() && arguments.template.is_given() {
        return Err(Failure::Usage("--prompt is raw text, which has no chat template: give --message".into()));
    }
    let device = device::open(&arguments.device)?;
    let load = |device: Device| {
        let adapter = arguments.adapter.as_deref();
        let base = Base::load_with(&arguments.model, adapter, arguments.weights, &device)?;
        Ok::<Source, Failure>(Source { base, device, options, stop })
    };
    let templates = || arguments.template.open(arguments.adapter.as_deref(), Some(&arguments.model));
    if let Some(input) = &arguments.input {
        let rows = rows::read(input, templates)?;
        return rows::run(rows, || load(device), &arguments);
    }
    if let Some(message) = &arguments.message {
        let templates = templates()?;
        let system = arguments.system.iter().map(|text| ("system", text.as_str()));
        let conversation = Conversation::of_texts(system.chain([("user", message.as_str())]));
        let prompt = render_prompt(&templates, &conversation)?;
        let mut source = load(device)?;
        let prompt = source.base.encode_rendered(&prompt)?;
        source.options.eos = source.base.answer_end_tokens(&templates)?;
        return one(&source, prompt, None, arguments.format);
    }
    let text = arguments.prompt.unwrap_or_default();
    let mut source = load(device)?;
    let prompt = source.base.encode_text(&text)?;
    source.options.eos = source.base.end_tokens()?;
    one(&source, prompt, Some(&text), arguments.format)
}

/// Answers a prompt, or continues it where its text is given. As text, the result is written as it comes.
fn one(source: &Source, prompt: Vec<u32>, continued: Option<&str>, format: Format) -> Result<(), Failure> {
    let Source { base, device, options, stop } = source;
    if prompt.is_empty() {
        return Err(Failure::Usage("the prompt is empty, expected at least one token".into()));
    }
    let (config, length) = (base.model.config(), prompt.len());
    warn_of_positions(config, "the prompt has", length);
    let started = Instant::now();
    let generator = Generator::new(&base.model, &[prompt], options, device)?;
    let texts = match continued {
        Some(_) => TextGenerator::continuing(generator, &base.tokenizer, stop)?,
        None => TextGenerator::answering(generator, &base.tokenizer, stop),
    };
    let result = match format {
        Format::Json => texts.finish()?.pop(),
        Format::Text => {
            // Before the work: a result that cannot be written is not worth it.
            let mut out = stdout::open().map_err(Failure::Output)?;
            let mut result = GeneratedText { text: String::new(), tokens: 0, finish: Finish::Length };
            let mut before = continued.unwrap_or_default();
            for step in texts {
                for piece in step? {
                    let written = write!(out, "{before}{}", piece.text).and_then(|()| out.flush());
                    if written.is_err() {
                        return written_or_closed(written);
                    }
                    before = "";
                    result.tokens += 1;
                }
            }
            let written = writeln!(out, "{before}").and_then(|()| out.flush());
            written_or_closed(written)?;
            Some(result)
        }
    };
    let Some(GeneratedText { text, tokens, finish }) = result else { return Ok(()) };
    if length <= config.max_position_embeddings {
        warn_of_positions(config, "prompt and new text have", length + tokens);
    }
    if format == Format::Text {
        return Ok(());
    }
    let seconds = started.elapsed().as_secs_f64();
    let report = Report { text, tokens, finish: name(finish), seconds, tokens_per_second: tokens as f64 / seconds };
    print(format, &report, || report.text.clone())
}

/// The name of an end in results.
fn name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}
