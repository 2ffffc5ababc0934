//! `adamole bench load`.

use super::{Circumstances, Failure, Subject, threads_of_one_batch, training::batches};
use crate::cli::output::print;
use adamole::{
    data::LabelScope,
    llama::ModelError,
    train::{Recipe, Replicas, StepInput, Workers, accumulate},
};
use clap::Args;
use serde::Serialize;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Instant,
};

/// Tokens of the first step's only sequence.
const TOKENS: usize = 16;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole bench load --model HuggingFaceTB/SmolLM2-135M";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LoadArguments {
    #[command(flatten)]
    subject: Subject,
}

#[derive(Serialize)]
struct Report {
    weights_bytes: u64,
    /// Seconds to read the weight files as plain bytes from the system's cache.
    read_seconds: f64,
    /// Seconds from the folder to a model with adapters.
    load_seconds: f64,
    /// Seconds of forward and backward.
    first_step_seconds: f64,
    /// Seconds of load and first step beyond those of reading.
    beyond_reading_seconds: f64,
    #[serde(flatten)]
    circumstances: Circumstances,
}

pub(crate) fn run(arguments: &LoadArguments) -> Result<(), Failure> {
    let subject = &arguments.subject;
    let device = subject.place.device()?.autodiff();
    let files = weight_files(&subject.folder()?)?;
    // Into the system's cache, so that the timed parts do not wait for the disk.
    let read_all = || files.iter().map(|path| read_through(path).map_err(failure(path))).sum::<Result<u64, _>>();
    read_all()?;
    let started = Instant::now();
    let weights_bytes = read_all()?;
    let read_seconds = started.elapsed().as_secs_f64();

    let started = Instant::now();
    let model = subject.load(&device)?;
    let load_seconds = started.elapsed().as_secs_f64();

    let batches = batches(1, TOKENS, 1, LabelScope::Text, model.config().vocab_size);
    let started = Instant::now();
    let input = StepInput { batches: &batches, step: 0, recipe: &Recipe::default() };
    accumulate(&model, input, &Workers::new(1), &Replicas::default())?;
    let first_step_seconds = started.elapsed().as_secs_f64();
    let circumstances = Circumstances::now(Some(subject.adapter.0.method), threads_of_one_batch());
    let report = Report {
        weights_bytes,
        read_seconds,
        load_seconds,
        first_step_seconds,
        beyond_reading_seconds: load_seconds + first_step_seconds - read_seconds,
        circumstances,
    };
    print(subject.place.format, &report, || text(&report))
}

/// The safetensors files of a model's folder.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failure(folder))?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|ending| ending == "safetensors")).collect())
}

/// Reads a file in pieces, without memory for the whole; returns the number of bytes.
fn read_through(path: &Path) -> io::Result<u64> {
    let (mut file, mut piece, mut bytes) = (File::open(path)?, vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}

fn failure(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    |source| Failure::Model(ModelError::Io { path, source })
}

fn text(report: &Report) -> String {
    format!(
        "{:.3} s to load, {:.3} s for the first step, {:.3} s to read the file: {:.3} s beyond reading, on {}",
        report.load_seconds,
        report.first_step_seconds,
        report.read_seconds,
        report.beyond_reading_seconds,
        report.circumstances.text(),
    )
}
