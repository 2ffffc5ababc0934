//! Changes of files, so that a case need not hold a copy of a large file of which one thing is different.

use crate::{scene::Scene, tensors::Layout};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use std::{fs, io};

/// The changes of one file, in the order of the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    file: String,
    /// The file is written anew.
    text: Option<String>,
    replace: Option<Replace>,
    json: Option<Json>,
    rename: Option<Rename>,
    /// Tensors whose names match this expression go.
    drop: Option<String>,
    duplicate: Option<Duplicate>,
    fill: Option<Fill>,
    /// Only so many bytes stay.
    cut: Option<usize>,
}

/// Every `text` becomes `by`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replace {
    text: String,
    by: String,
}

/// The value `at` a JSON pointer becomes `to`, a JSON text; without it the value goes. A pointer that ends in `/-`
/// appends to a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    at: String,
    to: Option<String>,
}

/// In the names of tensors, what `matches` becomes `to`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    matches: String,
    to: String,
}

/// A tensor is there a second time, under this name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Duplicate {
    tensor: String,
    #[serde(rename = "as")]
    name: String,
}

/// The first values of a float32 tensor, or all of them, become `with`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fill {
    tensor: String,
    with: f32,
    first: Option<usize>,
}

/// Makes all the changes.
pub(crate) fn all(edits: &[Edit], scene: &Scene) -> io::Result<()> {
    edits.iter().try_for_each(|edit| {
        edit.apply(scene).map_err(|error| io::Error::new(error.kind(), format!("edit of {}: {error}", edit.file)))
    })
}

impl Edit {
    fn apply(&self, scene: &Scene) -> io::Result<()> {
        let path = scene.path(&self.file);
        if let Some(text) = &self.text {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&path, scene.filled(text))?;
        }
        let mut bytes = fs::read(&path)?;
        if let Some(Replace { text, by }) = &self.replace {
            let whole = String::from_utf8(bytes).map_err(io::Error::other)?;
            expect(whole.contains(text), "the text that is to be replaced is not there")?;
            bytes = whole.replace(text, &scene.filled(by)).into_bytes();
        }
        if let Some(json) = &self.json {
            let mut whole = serde_json::from_slice(&bytes)?;
            json.set(&mut whole)?;
            bytes = serde_json::to_vec(&whole)?;
        }
        if self.rename.is_some() || self.drop.is_some() || self.duplicate.is_some() || self.fill.is_some() {
            let mut layout = Layout::of(&bytes).map_err(io::Error::other)?;
            self.change_tensors(&mut layout)?;
            bytes = layout.to_bytes();
        }
        if let Some(length) = self.cut {
            bytes.truncate(length);
        }
        fs::write(path, bytes)
    }

    fn change_tensors(&self, layout: &mut Layout) -> io::Result<()> {
        if let Some(Rename { matches, to }) = &self.rename {
            let matches = Regex::new(matches).map_err(io::Error::other)?;
            let renamed = |name: &str| matches.replace(name, to.as_str()).into_owned();
            layout.0.iter_mut().for_each(|tensor| tensor.name = renamed(&tensor.name));
        }
        if let Some(matches) = &self.drop {
            let matches = Regex::new(matches).map_err(io::Error::other)?;
            layout.0.retain(|tensor| !matches.is_match(&tensor.name));
        }
        if let Some(Duplicate { tensor, name }) = &self.duplicate {
            let mut second = layout.named(tensor).map_err(io::Error::other)?.clone();
            second.name.clone_from(name);
            layout.0.push(second);
        }
        if let Some(Fill { tensor, with, first }) = &self.fill {
            let filled = layout.named(tensor).map_err(io::Error::other)?;
            let values = filled.data.chunks_exact_mut(4).take(first.unwrap_or(usize::MAX));
            values.for_each(|value| value.copy_from_slice(&with.to_le_bytes()));
        }
        Ok(())
    }
}

impl Json {
    fn set(&self, whole: &mut Value) -> io::Result<()> {
        let (parent, key) = self.at.rsplit_once('/').ok_or_else(|| io::Error::other("a JSON pointer begins with /"))?;
        let key = key.replace("~1", "/").replace("~0", "~");
        let to = self.to.as_deref().map(serde_json::from_str).transpose()?;
        let parent = whole.pointer_mut(parent).ok_or_else(|| io::Error::other("the pointer leads nowhere"))?;
        match (parent, to) {
            (Value::Object(map), Some(to)) => drop(map.insert(key, to)),
            (Value::Object(map), None) => expect(map.remove(&key).is_some(), "there is no such key")?,
            (Value::Array(list), Some(to)) if key == "-" => list.push(to),
            (Value::Array(list), to) => {
                let index: usize = key.parse().map_err(io::Error::other)?;
                expect(index < list.len(), "the list is shorter")?;
                match to {
                    Some(to) => list[index] = to,
                    None => drop(list.remove(index)),
                }
            }
            _ => expect(false, "the pointer leads into a value that has no parts")?,
        }
        Ok(())
    }
}

fn expect(holds: bool, otherwise: &str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(otherwise)) }
}
