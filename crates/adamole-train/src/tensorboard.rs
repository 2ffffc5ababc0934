//! Event files for TensorBoard.
//!
//! An event file is a sequence of records: the length, its checksum, an `Event` message of TensorFlow, its checksum. The few
//! fields that are used are written here by hand.

use crate::{EpochMetrics, RunDirectory, Score, StepMetrics, TrainError, TrainEvent};
use adamole_llama::write_atomically;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Writes the metrics of the run in `run`, whether it is finished or still going on, as an event file in `folder`, and
/// returns its path and the number of steps and validations. The same run replaces the file that it wrote before.
///
/// An event has the time at which the run began and the seconds of the steps since, as `metrics.jsonl` has no other times.
///
/// # Errors
/// There are no metrics, they cannot be read, or the file cannot be written.
pub fn write_event_file(run: &Path, folder: &Path) -> Result<(PathBuf, usize), TrainError> {
    let events = RunDirectory::metrics(run)?;
    // Written when a run begins.
    let config = run.join("config.json");
    let began = fs::metadata(&config).and_then(|data| data.modified()).map_err(TrainError::io(&config))?;
    let began = seconds(began);
    let (mut content, mut step, mut elapsed, mut count) = (beginning(began, 0), 0, 0.0_f64, 0);
    for event in &events {
        match event {
            TrainEvent::Step(of) => (step, elapsed) = (of.step, elapsed + of.seconds),
            TrainEvent::Epoch(of) => elapsed = elapsed.max(of.seconds),
            _ => continue,
        }
        content.extend(scalars(event).map(|scalars| record(began + elapsed, step, &scalars)).unwrap_or_default());
        count += 1;
    }
    fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let path = folder.join(file_name(began));
    write_atomically(&path, &content)?;
    Ok((path, count))
}

/// An event file that grows.
#[derive(Debug)]
pub(crate) struct TensorBoard {
    path: PathBuf,
    file: File,
    /// Of the last step that was recorded, for epochs to stand at.
    step: usize,
}

impl TensorBoard {
    /// Creates a file in `folder`. Steps from `step` on in earlier files no longer count.
    pub(crate) fn create(folder: &Path, step: usize) -> Result<Self, TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
        let path = folder.join(file_name(now()));
        let file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(TrainError::io(&path))?;
        let mut board = Self { path, file, step };
        board.write(&beginning(now(), step))?;
        Ok(board)
    }

    pub(crate) fn record(&mut self, event: &TrainEvent) -> Result<(), TrainError> {
        if let TrainEvent::Step(step) = event {
            self.step = step.step;
        }
        scalars(event).map_or(Ok(()), |scalars| self.write(&record(now(), self.step, &scalars)))
    }

    fn write(&mut self, records: &[u8]) -> Result<(), TrainError> {
        self.file.write_all(records).map_err(TrainError::io(&self.path))
    }
}

fn file_name(time: f64) -> String {
    format!("events.out.tfevents.{time:.6}.adamole")
}

/// The first records of a file whose events are those from `step` on.
fn beginning(time: f64, step: usize) -> Vec<u8> {
    // A session that starts at a step: field 7 of an event, whose field 1 is the status START.
    [record(time, 0, &text(3, "brain.Event:2")), record(time, step, &bytes(7, &[0x08, 0x01]))].concat()
}

/// A step or a validation as the field of an event that holds scalars.
fn scalars(event: &TrainEvent) -> Option<Vec<u8>> {
    let scalars = match event {
        TrainEvent::Step(step) => of_step(step),
        TrainEvent::Epoch(epoch) => of_epoch(epoch).into(),
        _ => return None,
    };
    let mut summary = Vec::new();
    for (tag, value) in scalars {
        let Some(value) = value else { continue };
        let mut scalar = text(1, &tag);
        scalar.push(2 << 3 | 5);
        scalar.extend((value as f32).to_le_bytes());
        summary.extend(bytes(1, &scalar));
    }
    Some(bytes(5, &summary))
}

/// An event with its length and checksums: its time in seconds since 1970, its step, and the field that says what happened.
fn record(time: f64, step: usize, what: &[u8]) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(time.to_le_bytes());
    event.push(2 << 3);
    event.extend(varint(step as u64));
    event.extend(what);
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), &event, &checksum(&event)].concat()
}

fn of_step(step: &StepMetrics) -> Vec<(String, Option<f64>)> {
    let scalars = [
        ("train/task_loss", Some(step.task_loss)),
        ("train/balance_loss", step.balance_loss),
        ("train/gradient_norm", Some(step.gradient_norm)),
        ("train/learning_rate", Some(step.learning_rate)),
        ("train/mean_active_experts", step.mean_active_experts),
        ("train/mean_threshold", step.mean_threshold),
        ("train/tokens_per_second", Some(step.tokens_per_second)),
    ];
    let load = step.expert_load.iter().enumerate();
    let load = load.map(|(expert, share)| (format!("load/expert_{expert}"), Some(*share)));
    scalars.map(|(tag, value)| (tag.to_owned(), value)).into_iter().chain(load).collect()
}

fn of_epoch(epoch: &EpochMetrics) -> [(String, Option<f64>); 3] {
    let [first, second] = match epoch.score {
        Score::Choices { accuracy, choice_loss } => [("accuracy", accuracy), ("choice_loss", choice_loss)],
        Score::Texts { validation_loss, perplexity } => [("loss", validation_loss), ("perplexity", perplexity)],
    };
    let named = |(name, value): (&str, f64)| (format!("validation/{name}"), Some(value));
    let active = ("validation/mean_active_experts".to_owned(), epoch.mean_active_experts);
    [named(first), named(second), active]
}

/// Seconds since 1970, as events have them.
fn now() -> f64 {
    seconds(SystemTime::now())
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A field of a message that holds bytes.
fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2][..], &varint(content.len() as u64), content].concat()
}

fn text(field: u8, content: &str) -> Vec<u8> {
    bytes(field, content.as_bytes())
}

/// Seven bits a byte, the lowest first.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// CRC-32C, rotated and shifted as TensorFlow does, so that a checksum of checksums is none.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_tensorflows() {
        // Of the eight bytes of the length 24, as the first record of an event file that TensorBoard wrote has it.
        assert_eq!(checksum(&24_u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn numbers_of_any_size_are_written() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }
}
