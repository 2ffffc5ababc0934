//! The parts of messages that take more than a format string.

use std::path::PathBuf;

use crate::ReadReport;
use crate::text::TextReport;

/// The most names of a folder that a message lists.
const LISTED: usize = 12;

pub(super) fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

pub(super) fn contents(present: &Option<Vec<String>>) -> String {
    match present.as_deref() {
        None => "neither does its folder".into(),
        Some([]) => "its folder is empty".into(),
        Some(names) if names.len() <= LISTED => format!("its folder has: {}", names.join(", ")),
        Some(names) => format!("its folder has: {} and {} more", names[..LISTED].join(", "), names.len() - LISTED),
    }
}

pub(super) fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

pub(super) fn alike(looked: usize) -> String {
    match looked {
        0 => String::new(),
        1 => " (the row after it is alike)".into(),
        looked => format!(" (the {looked} rows after it are alike)"),
    }
}

pub(super) fn unusable(report: &ReadReport) -> String {
    let ReadReport { left_out, bad_rows, bad, .. } = report;
    match (left_out, bad.first()) {
        (0, None) => String::new(),
        (_, None) => format!(": {left_out} were left out, as questions about an image are"),
        (_, Some(first)) => format!(": {left_out} were left out and {bad_rows} are bad, first {first}"),
    }
}

pub(super) fn nothing(report: &TextReport) -> String {
    let TextReport { empty, bad_rows, bad, .. } = report;
    match (empty, bad.first()) {
        (0, None) => String::new(),
        (_, None) => format!(": {empty} have nothing to learn, an empty text or completion"),
        (_, Some(first)) => format!(": {empty} have nothing to learn and {bad_rows} are bad, first {first}"),
    }
}
