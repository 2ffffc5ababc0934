//! Results on stdout.

use super::Failure;
use crate::stdout;
pub(crate) use adamole_experiments::duration;
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Write};

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines of text.
    Text,
    /// One JSON object.
    Json,
}

/// Prints `value` as one line of JSON, or `text`.
///
/// # Errors
/// stdout cannot be written.
pub(crate) fn print(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let line = match format {
        Format::Text => Ok(text()),
        Format::Json => serde_json::to_string(value).map_err(io::Error::from),
    };
    let written = line.and_then(|line| {
        let mut out = stdout::open()?;
        writeln!(out, "{line}").and_then(|()| out.flush())
    });
    written_or_closed(written)
}

/// A pipe that its reader has closed, as `head` does, is no error. Any other error loses the result.
pub(crate) fn written_or_closed(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Failure::Output),
    }
}

/// `0.8125` as `81.2 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Bytes as gibibytes, mebibytes or kibibytes.
pub(crate) fn size(bytes: Option<u64>) -> String {
    match bytes.map(|bytes| bytes as f64 / (1 << 20) as f64) {
        None => "unknown".into(),
        Some(mebibytes) if mebibytes < 1.0 => format!("{:.0} KiB", mebibytes * 1024.0),
        Some(mebibytes) if mebibytes < 1024.0 => format!("{mebibytes:.0} MiB"),
        Some(mebibytes) => format!("{:.2} GiB", mebibytes / 1024.0),
    }
}
