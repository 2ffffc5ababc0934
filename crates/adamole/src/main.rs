//! The `adamole` program: results on stdout, talk on stderr, exit code 2 for wrong use and 1 for failure.

mod cli;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "Fine-tune language models with adaptive mixtures of LoRA experts")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train an adapter on a benchmark and keep the best epoch
    Train(Box<cli::train::TrainArguments>),
    /// Measure the accuracy of a base model or an adapter on a benchmark
    Evaluate(cli::evaluate::EvaluateArguments),
    /// Train a small base model from nothing on a corpus
    Pretrain(cli::pretrain::PretrainArguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Train(arguments) => cli::train::run(*arguments),
        Command::Evaluate(arguments) => cli::evaluate::run(arguments),
        Command::Pretrain(arguments) => cli::pretrain::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}
