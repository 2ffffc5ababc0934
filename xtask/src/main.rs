//! Workspace tasks. They start programs and read result files, and do not depend on Burn, so that they build in seconds.

#![allow(clippy::print_stdout, reason = "a program prints its results")]

mod bench;
mod cargo;
mod ci;
mod datasets;
mod gpu;
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
    /// Run the experiments of the paper's tables and figures and write a report
    Reproduce(Box<adamole_experiments::Options>),
    /// Compare the speed and memory of the methods with LoRA, or of this program with PEFT
    Bench(bench::Options),
    /// Run all tests, with the profile and features of the program
    Test {
        /// Run the tests of devices on this one: wgpu, vulkan, cuda
        #[arg(long)]
        device: Option<String>,
        /// The profile of Cargo.toml to compile with
        #[arg(long, default_value = "release")]
        profile: String,
        /// Arguments of the test programs
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run what needs a GPU: tests of devices, training steps, launches, generation, memory; every failure is recorded by name
    Gpu(gpu::Options),
    /// Check formatting, lints, documentation and tests, and run a reproduction with a checked report
    Ci,
    /// Regenerate the shipped samples and base models
    Datasets(datasets::Options),
}

/// The failure of a task, with its message.
type Failure = Box<dyn std::error::Error>;

/// The root folder of the workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Reproduce(options) => reproduce::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Test { device, profile, arguments } => cargo::test(device.as_deref(), &profile, &arguments),
        Task::Gpu(options) => gpu::run(&options),
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_task_in_the_documentation_exists_with_its_flags() {
        let wrong = adamole_tests::documents::wrong_calls(&Arguments::command(), "cargo xtask");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
