//! What texts and files must hold.

use crate::{
    case::{File, Tensors, Text},
    scene::Scene,
    tensors,
};
use regex::Regex;
use std::fs;

impl Text {
    /// What is wrong with this text, if anything.
    pub(crate) fn check(&self, text: &str, scene: &Scene) -> Result<(), String> {
        for part in &self.holds {
            expect(text.contains(&scene.filled(part)), || format!("does not hold `{part}`"))?;
        }
        for part in &self.lacks {
            expect(!text.contains(&scene.filled(part)), || format!("holds `{part}`"))?;
        }
        for (expressions, found) in [(&self.matches, true), (&self.mismatches, false)] {
            for expression in expressions {
                let regex = Regex::new(expression).map_err(|error| format!("has no test: {error}"))?;
                let word = if found { "does not match" } else { "matches" };
                expect(regex.is_match(text) == found, || format!("{word} `{expression}`"))?;
            }
        }
        if let Some(path) = &self.same_as {
            let expected =
                fs::read_to_string(scene.path(&scene.filled(path))).map_err(|error| format!("has no test: {error}"))?;
            expect(text == expected, || format!("is not that of {path}"))?;
        }
        expect(!self.empty || text.is_empty(), || "is not empty".to_owned())
    }
}

impl File {
    /// What is wrong with the file, if anything.
    pub(crate) fn check(&self, scene: &Scene) -> Result<(), String> {
        let path = scene.path(&self.path);
        let there = path.symlink_metadata().is_ok();
        let not = if self.exists { "not " } else { "" };
        expect(there == self.exists, || format!("{} is {not}there", self.path))?;
        if !there || path.is_dir() {
            return Ok(());
        }
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", self.path))?;
        self.text.check(&String::from_utf8_lossy(&text), scene).map_err(|error| format!("{} {error}", self.path))
    }
}

impl Tensors {
    /// What is wrong with the tensors, if anything.
    pub(crate) fn check(&self, scene: &Scene) -> Result<(), String> {
        let (actual, expected) = (scene.path(&self.path), scene.path(&scene.filled(&self.expected)));
        tensors::close(&actual, &expected, self.tolerance).map_err(|error| format!("{}: {error}", self.path))
    }
}

pub(crate) fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
