//! `cargo xtask gpu`: what needs a GPU, in one command: builds the program and the tests of devices, runs `xtask/gpu/run.sh` with them,
//! and shows its result.

mod report;
mod table;

use crate::{Failure, bench::page, cargo, root};
use clap::Args;
use report::Report;
use std::{fs, path::PathBuf, process::Command};

#[derive(Args)]
pub(crate) struct Options {
    /// Device: cuda, vulkan or wgpu, with :INDEX for another than the first
    #[arg(long, default_value = "cuda")]
    device: String,
    /// Type of the frozen weights [default: bfloat16 with cuda, else float32]
    #[arg(long)]
    dtype: Option<String>,
    /// Shapes and tests for a device that is emulated in software
    #[arg(long)]
    small: bool,
    /// Only parts whose names begin so; may be repeated
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Leave the tests out, which are built with the program
    #[arg(long)]
    no_tests: bool,
    /// Where the result goes [default: results/gpu.json]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the result to docs/benchmarks.md too
    #[arg(long)]
    render: bool,
    /// Run nothing; show the result that xtask/gpu/run.sh wrote to this file on another machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["small", "only", "no_tests", "output", "dtype"])]
    from: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let output = match (&options.from, &options.output) {
        (Some(file), _) | (None, Some(file)) => file.clone(),
        (None, None) => root().join("results/gpu.json"),
    };
    let all_passed = if options.from.is_some() { true } else { measure(options, &output)? };
    let report = Report::read(&output)?;
    let (heading, body) = (table::heading(&report), table::markdown(&report));
    println!("## {heading}\n\n{body}");
    if options.render {
        page::write(&heading, &body)?;
    }
    if all_passed { Ok(()) } else { Err(format!("parts failed: {}", report.failed().join(", ")).into()) }
}

/// Runs the parts; whether all of them passed.
fn measure(options: &Options, output: &PathBuf) -> Result<bool, Failure> {
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut command = Command::new("bash");
    command.arg(root().join("xtask/gpu/run.sh")).args(["--device", &options.device]);
    command.arg("--program").arg(cargo::program_for(&options.device)?);
    if !options.no_tests {
        command.arg("--tests").arg(cargo::test_program_for(&options.device, "devices")?);
    }
    if let Some(dtype) = &options.dtype {
        command.args(["--dtype", dtype]);
    }
    if options.small {
        command.arg("--small");
    }
    command.args(options.only.iter().flat_map(|part| ["--only", part]));
    // An earlier result must not be taken for this one's.
    if output.exists() {
        fs::remove_file(output)?;
    }
    Ok(command.arg("--output").arg(output).status()?.success())
}
