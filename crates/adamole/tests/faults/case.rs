//! What a `case.toml` says.

use crate::edit::Edit;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// A situation and what the program has to do in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The situation, in a sentence.
    pub(crate) about: String,
    /// A folder of `bases` that becomes `model`, below the case's own files.
    pub(crate) base: Option<String>,
    /// Files and folders from elsewhere: where they come to lie, and where they are.
    #[serde(default)]
    pub(crate) copies: BTreeMap<String, String>,
    /// Symbolic links: where they lie, and what they say.
    #[serde(default)]
    pub(crate) links: BTreeMap<String, String>,
    /// Named pipes that nobody writes to.
    #[serde(default)]
    pub(crate) fifos: Vec<String>,
    /// Changes of files, after everything lies there.
    #[serde(rename = "edit", default)]
    pub(crate) edits: Vec<Edit>,
    /// The program's runs, one after the other in the same folder.
    #[serde(rename = "run")]
    pub(crate) runs: Vec<Run>,
}

/// One start of the program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Changes of files before it starts.
    #[serde(rename = "edit", default)]
    pub(crate) edits: Vec<Edit>,
    /// Files and folders that are removed before it starts.
    #[serde(default)]
    pub(crate) remove: Vec<String>,
    /// The program's arguments.
    pub(crate) args: Arguments,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) stdin: String,
    /// Where standard output goes instead of being looked at, such as `/dev/full`.
    pub(crate) stdout_to: Option<String>,
    /// The most address space that it may take.
    pub(crate) memory_mib: Option<u64>,
    /// How long it may take; more is a hang.
    #[serde(default = "a_minute")]
    pub(crate) seconds: u64,
    /// Killed without warning as soon as this file is there; it has no exit code then.
    pub(crate) kill_when: Option<String>,
    /// The exit code.
    #[serde(default)]
    pub(crate) exit: i32,
    #[serde(default)]
    pub(crate) stdout: Text,
    #[serde(default)]
    pub(crate) stderr: Text,
    /// Files that are there afterwards, or are not.
    #[serde(default)]
    pub(crate) files: Vec<File>,
    /// Tensors that were written.
    #[serde(default)]
    pub(crate) tensors: Vec<Tensors>,
}

/// Arguments as a list, or as one text that spaces part.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Arguments {
    Text(String),
    List(Vec<String>),
}

/// What a text must hold and must not.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Text {
    /// Parts that it has.
    pub(crate) holds: Vec<String>,
    /// Parts that it does not have.
    pub(crate) lacks: Vec<String>,
    /// Regular expressions that are found in it.
    pub(crate) matches: Vec<String>,
    /// Regular expressions that are not.
    pub(crate) mismatches: Vec<String>,
    /// The whole of it is the content of this file.
    pub(crate) same_as: Option<String>,
    /// It is empty.
    pub(crate) empty: bool,
}

/// A file after a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) path: String,
    /// Whether it exists; a file that does not has no text.
    #[serde(default = "yes")]
    pub(crate) exists: bool,
    #[serde(default)]
    pub(crate) text: Text,
}

/// A safetensors file after a run, beside another one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tensors {
    pub(crate) path: String,
    /// The file whose tensors are expected; it may hold fewer tensors, and fewer columns of each.
    pub(crate) expected: String,
    /// The largest difference that is allowed.
    pub(crate) tolerance: f64,
}

fn a_minute() -> u64 {
    60
}

fn yes() -> bool {
    true
}

impl Case {
    /// Reads the `case.toml` of a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(folder.join("case.toml")).map_err(|error| format!("case.toml: {error}"))?;
        toml::from_str(&text).map_err(|error| format!("case.toml: {error}"))
    }
}
