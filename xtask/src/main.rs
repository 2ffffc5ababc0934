//! Workspace tasks. They start programs and read result files, and know nothing of Burn, so that they build in seconds.

#![allow(clippy::print_stdout, reason = "a program prints its results")]

mod bench;
mod cargo;
mod ci;
mod datasets;
mod reproduce;

use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the AdaMoLE workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the paper's tables and figures and write their report
    Reproduce(Box<adamole_experiments::Options>),
    /// Measure the methods beside LoRA, or this program beside PEFT
    Bench(bench::Options),
    /// Run all tests, in the profile and features that the program is built with
    Test {
        /// Run those that are about a device on this one: wgpu, vulkan, cuda
        #[arg(long)]
        device: Option<String>,
        /// Passed on to the test programs
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Formatting, lints, documentation, tests, and a reproduction with its report checked
    Ci,
    /// Regenerate the shipped samples and base models
    Datasets(datasets::Options),
}

/// A task's failure, already in words.
type Failure = Box<dyn std::error::Error>;

/// The workspace's root folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Reproduce(options) => reproduce::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Test { device, arguments } => cargo::test(device.as_deref(), &arguments),
        Task::Ci => ci::run(),
        Task::Datasets(options) => datasets::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
