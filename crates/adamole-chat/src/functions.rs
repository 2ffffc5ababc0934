//! The functions of chat templates: `raise_exception`, `strftime_now`, `dict`, and the tracking of generation blocks.

use crate::python;
use chrono::{
    Local, NaiveDateTime,
    format::{Item, StrftimeItems},
};
use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args},
};
use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// The function that a generation block calls, with the block as its caller.
pub(crate) const GENERATION: &str = "op_generation";

/// The message of `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Raised(pub(crate) String);

/// Adds the functions that are the same for every rendering.
pub(crate) fn install(environment: &mut Environment<'_>) {
    environment.add_function("raise_exception", |message: &Value| -> Result<Value, Error> {
        Err(refused("raise_exception").with_source(Raised(python::text(message))))
    });
    environment.add_function("dict", dict);
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Python's `dict`: of a dictionary or of pairs, and of arguments with names.
fn dict(arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let arguments = arguments.into_values();
    let (start, named): (Option<Value>, Kwargs) = from_args(&arguments)?;
    let mut entries = Vec::new();
    if let Some(start) = start {
        for item in start.try_iter()? {
            entries.push(match start.kind() {
                ValueKind::Map => (item.clone(), start.get_item(&item)?),
                _ if item.len() == Some(2) => (item.get_item_by_index(0)?, item.get_item_by_index(1)?),
                _ => return Err(refused("dict expects pairs of a key and a value")),
            });
        }
    }
    for name in named.args().map(str::to_owned).collect::<Vec<_>>() {
        entries.push((Value::from(name.as_str()), named.get(&name)?));
    }
    Ok(Value::from_pairs(entries))
}

/// `strftime_now(format)`: the present, or the time given, as text.
pub(crate) fn strftime_now(now: Option<NaiveDateTime>) -> Value {
    Value::from_function(move |format: String| -> Result<String, Error> {
        let items: Vec<_> = StrftimeItems::new(&format).collect();
        if items.contains(&Item::Error) {
            return Err(refused(format!("`{format}` is not a format of strftime")));
        }
        let now = now.unwrap_or_else(|| Local::now().naive_local());
        let mut text = String::new();
        match std::fmt::Write::write_fmt(&mut text, format_args!("{}", now.format_with_items(items.iter()))) {
            Ok(()) => Ok(text),
            Err(_) => Err(refused(format!("`{format}` asks for more than a date and a time"))),
        }
    })
}

/// A generation block that was rendered.
#[derive(Clone, Debug)]
struct Block {
    /// Characters of the rendering before the tag that the block was rendered for.
    start: usize,
    text: Arc<str>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Characters that the template has written.
    written: usize,
    blocks: Vec<Block>,
}

/// The generation blocks of one rendering.
///
/// Where a block begins is known from what the template has written when the block is rendered. What a macro, a `set` block
/// or a filter holds back is not written yet, neither here nor in transformers.
#[derive(Clone, Debug, Default)]
pub(crate) struct GenerationBlocks(Arc<Mutex<Progress>>);

impl GenerationBlocks {
    fn with<T>(&self, act: impl FnOnce(&mut Progress) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the template writes to.
    pub(crate) fn writer(&self) -> Writer {
        Writer { text: Vec::new(), blocks: self.clone() }
    }

    /// The function that a block calls.
    pub(crate) fn function(&self) -> Value {
        let blocks = self.clone();
        Value::from_function(move |state: &mut State<'_, '_>, named: Kwargs| -> Result<Value, Error> {
            let caller: Value = named.get("caller")?;
            let value = caller.call(state, &[])?;
            let text: Arc<str> = value.as_str().unwrap_or_default().into();
            blocks.with(|progress| {
                let start = progress.written;
                progress.blocks.push(Block { start, text });
            });
            Ok(value)
        })
    }

    /// The bytes of the blocks, and their texts, in the order in which they ended.
    pub(crate) fn found(&self, text: &str) -> (Vec<Range<usize>>, Vec<Arc<str>>) {
        let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let byte = |character: usize| bytes.get(character).copied().unwrap_or(text.len());
        self.with(|progress| {
            let blocks = progress.blocks.iter();
            blocks
                .map(|block| {
                    let end = block.start + block.text.chars().count();
                    (byte(block.start)..byte(end), block.text.clone())
                })
                .unzip()
        })
    }
}

/// Keeps what a template writes, and counts its characters.
pub(crate) struct Writer {
    text: Vec<u8>,
    blocks: GenerationBlocks,
}

impl Writer {
    /// What was written.
    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        // Every character has one byte that does not continue another.
        let characters = bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        self.blocks.with(|progress| progress.written += characters);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
