//! The `adamole` program: results on stdout, messages on stderr, exit code 2 for wrong use and 1 for failure.

use crate::{
    cli::{self, Failure, bench::BenchCommand, ranks::Crew, resume::Begun, settings::Settings},
    core::MethodKind,
};
use clap::{CommandFactory, Parser, Subcommand};
use std::{path::Path, process::ExitCode};

/// The program's name on a command line.
pub(crate) const NAME: &str = "adamole";

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole train --model HuggingFaceTB/SmolLM2-135M --benchmark copa --output runs/copa
  adamole evaluate --model HuggingFaceTB/SmolLM2-135M --benchmark copa --adapter runs/copa
  adamole chat --model HuggingFaceTB/SmolLM2-135M-Instruct
  adamole train --help";

#[derive(Parser)]
#[command(name = NAME, after_help = EXAMPLES)]
#[command(version = env!("ADAMOLE_VERSION"), about = "Fine-tune language models with adaptive mixtures of LoRA experts")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train an adapter on a benchmark or on text of your own, and keep the best epoch
    Train(Box<cli::train::TrainArguments>),
    /// Estimate the size and cost of a training run, without reading weights
    Estimate(Box<cli::estimate::EstimateArguments>),
    /// Print a configuration file to start from, the settings of a run with their origins, or a JSON Schema
    #[command(subcommand, after_help = cli::config::EXAMPLES)]
    Config(cli::config::ConfigCommand),
    /// Measure the accuracy of a base model or an adapter on a benchmark
    Evaluate(cli::evaluate::EvaluateArguments),
    /// Continue a text, answer a message, or do so for the lines of a file
    Generate(Box<cli::generate::GenerateArguments>),
    /// Hold a conversation with a model
    Chat(Box<cli::conversation::ChatArguments>),
    /// Serve a base model and its adapters over HTTP, in OpenAI's formats
    Serve(Box<cli::serve::ServeArguments>),
    /// Write a base model with an adapter merged into its weights
    Export(cli::export::ExportArguments),
    /// Show how many experts are active for each token of a text, layer by layer
    Inspect(cli::inspect::InspectArguments),
    /// Convert the metrics of a run to event files for TensorBoard
    Metrics(cli::metrics::MetricsArguments),
    /// Upload an adapter, or a base with it merged in, to the hub with a model card
    #[cfg(feature = "hub")]
    Push(cli::push::PushArguments),
    /// Download a model and benchmarks from the hub and print where they are
    Fetch(cli::fetch::FetchArguments),
    /// List the devices that are built in and present
    Devices(cli::devices::DevicesArguments),
    /// Print a benchmark's items as the model sees them
    Items(cli::items::ItemsArguments),
    /// Render conversations by a chat template, with the spans that the model is to produce
    Template(cli::template::TemplateArguments),
    /// Write the tensors of one forward and backward pass, to compare with another implementation
    Trace(cli::trace::TraceArguments),
    /// Time a training step, an evaluation, a generation or a load
    #[command(subcommand, after_help = cli::bench::EXAMPLES)]
    Bench(cli::bench::BenchCommand),
    /// Run methods by benchmarks by seeds as one study, and report it
    Experiments(Box<cli::experiments::ExperimentsArguments>),
    /// Train a small base model from random weights on a corpus
    Pretrain(cli::pretrain::PretrainArguments),
    /// Print completions of the command line for a shell
    Completions(cli::completions::CompletionsArguments),
    /// Write the manual, a page for each command
    Man(cli::man::ManArguments),
}

/// The description of the command line.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command of the command line.
pub fn run() -> ExitCode {
    adamole::data::silence_caught_panics();
    let command = Arguments::parse().command;
    let crew = match command {
        Command::Train(_) | Command::Evaluate(_) | Command::Bench(BenchCommand::Ranks(_)) => Crew::join(),
        _ => Crew::alone(),
    };
    let (crew, result) = match crew {
        Ok(crew) => (crew.clone(), run_command(command, &crew)),
        Err(failure) => (Crew::default(), Err(failure)),
    };
    let exit_code = match result {
        Ok(()) => 0,
        Err(failure) => {
            say!("{failure}");
            failure.exit_code()
        }
    };
    crew.leave(exit_code);
    ExitCode::from(exit_code)
}

fn run_command(command: Command, crew: &Crew) -> Result<(), Failure> {
    match command {
        Command::Train(arguments) => cli::train::run(*arguments, crew),
        Command::Estimate(arguments) => cli::estimate::run(*arguments),
        Command::Config(command) => cli::config::run(command),
        Command::Evaluate(arguments) => cli::evaluate::run(arguments, crew),
        Command::Generate(arguments) => cli::generate::run(*arguments),
        Command::Chat(arguments) => cli::conversation::run(&arguments),
        Command::Serve(arguments) => cli::serve::run(&arguments),
        Command::Export(arguments) => cli::export::run(arguments),
        Command::Inspect(arguments) => cli::inspect::run(&arguments),
        Command::Metrics(arguments) => cli::metrics::run(&arguments),
        #[cfg(feature = "hub")]
        Command::Push(arguments) => cli::push::run(arguments),
        Command::Fetch(arguments) => cli::fetch::run(&arguments),
        Command::Devices(arguments) => cli::devices::run(&arguments),
        Command::Items(arguments) => cli::items::run(&arguments),
        Command::Template(arguments) => cli::template::run(&arguments),
        Command::Trace(arguments) => cli::trace::run(arguments),
        Command::Bench(command) => cli::bench::run(&command, crew),
        Command::Experiments(arguments) => cli::experiments::run(&arguments),
        Command::Pretrain(arguments) => cli::pretrain::run(arguments),
        Command::Completions(arguments) => cli::completions::run(&arguments),
        Command::Man(arguments) => cli::man::run(arguments),
    }
}

/// The same with methods of other crates beside the built-in ones, for a program of one's own. They are named as those are:
/// `--method`, flags and keys of their settings, `peft_type` in adapter folders.
pub fn run_with(methods: &[&'static MethodKind]) -> ExitCode {
    let registered = methods.iter().try_for_each(|kind| kind.register().map_err(|error| error.to_string()));
    match registered.and_then(|()| cli::settings::check_names()) {
        Ok(()) => run(),
        Err(message) => {
            say!("{message}");
            ExitCode::from(2)
        }
    }
}

/// Reads and checks the settings of a run: those in a TOML file, or those of the run in a folder.
///
/// # Errors
/// The message of the program.
#[doc(hidden)]
pub fn check_settings(path: &Path) -> Result<(), String> {
    let check = || {
        let settings = match path.is_dir() {
            true => Begun::read(path)?.settings(Settings::default(), path, false)?,
            false => Settings::from_file(path)?,
        };
        let adapter = settings.resolve()?.adapter;
        (0..2).try_for_each(|layer| adapter.config(layer, 2).map(drop))?;
        Ok(())
    };
    check().map_err(|failure: cli::Failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, with the words before its flags.
    fn all(command: &clap::Command, before: &str) -> Vec<(String, clap::Command)> {
        let words = format!("{before} {}", command.get_name()).trim_start().to_owned();
        let below = command.get_subcommands().flat_map(|it| all(it, &words));
        below.chain([(words.clone(), command.clone())]).collect()
    }

    /// The words of a line, some of them in quotes.
    fn words(line: &str) -> Vec<String> {
        let is_quoted = |place: usize| place % 2 == 1;
        let parts = line.split('\'').enumerate().flat_map(|(place, part)| match is_quoted(place) {
            true => vec![part.to_owned()],
            false => part.split_whitespace().map(str::to_owned).collect(),
        });
        parts.collect()
    }

    #[test]
    fn short_help_of_every_command_fits_a_screen_and_ends_with_examples() {
        for (name, command) in all(&command(), "") {
            let help = command.term_width(100).render_help().to_string();
            assert!(help.lines().count() <= 52, "{name}: {} lines\n{help}", help.lines().count());
            assert!(help.lines().all(|line| line.chars().count() <= 108), "{name}:\n{help}");
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
            let examples = examples.lines().map(|line| line.split('>').next().unwrap_or_default());
            for example in examples.filter(|line| line.trim_start().starts_with(NAME)) {
                match Arguments::try_parse_from(words(example)).map(drop) {
                    Err(error) if error.exit_code() != 0 => panic!("{example}: {error}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn every_flag_is_in_long_help() {
        for (name, mut command) in all(&command(), "") {
            let help = command.render_long_help().to_string();
            let shown: Vec<_> = command.get_arguments().filter(|it| !it.is_hide_set()).cloned().collect();
            for flag in shown.iter().filter_map(|argument| argument.get_long()) {
                assert!(help.contains(&format!("--{flag}")), "{name}: --{flag}");
            }
        }
    }
}
