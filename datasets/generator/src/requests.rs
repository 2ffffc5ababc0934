//! Requests in plain words with the one-line command that each stands for: text to fine-tune on, as conversations.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use serde::Serialize;

use crate::random::Random;
use crate::requests::commands::{ACTIONS, Action, Command};
use crate::world::capitalised;

mod commands;

/// The splits with their rows, and the pairs of fields that are theirs: of five in a row, those with these remainders.
const SPLITS: [(&str, usize, &[usize]); 3] =
    [("train", 300, &[0, 1, 2]), ("validation", 50, &[3]), ("test", 100, &[4])];

/// A request and what it stands for.
struct Request {
    text: String,
    command: Command,
}

/// A row with a conversation.
#[derive(Serialize)]
struct Row<'a> {
    messages: [Message<'a>; 2],
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

/// Writes `root/text/requests/<split>.jsonl`.
///
/// # Errors
/// A folder or file cannot be written.
pub fn write_requests(root: &Path) -> io::Result<()> {
    let directory = root.join("text/requests");
    fs::create_dir_all(&directory)?;
    for (split, requests) in splits() {
        let rows: io::Result<String> = requests.iter().map(|request| Ok(request.row()? + "\n")).collect();
        fs::write(directory.join(format!("{split}.jsonl")), rows?)?;
    }
    Ok(())
}

fn splits() -> Vec<(&'static str, Vec<Request>)> {
    let mut random = Random::new(0x7265_7175);
    let mut seen = BTreeSet::new();
    let mut splits = Vec::new();
    for (split, size, remainders) in SPLITS {
        let mut requests = Vec::new();
        while requests.len() < size {
            // Every action has an equal share.
            let request = Request::draw(&mut random, &ACTIONS[requests.len() % ACTIONS.len()]);
            if remainders.contains(&request.command.part()) && seen.insert(request.text.clone()) {
                requests.push(request);
            }
        }
        random.shuffle(&mut requests);
        splits.push((split, requests));
    }
    splits
}

impl Request {
    fn draw(random: &mut Random, action: &Action) -> Self {
        let (command, words) = (action.draw)(random);
        let mut text = (*random.pick(action.wordings)).to_owned();
        for (field, word) in words {
            text = text.replace(field, &word);
        }
        Self { text: capitalised(&text), command }
    }

    fn row(&self) -> io::Result<String> {
        let command = serde_json::to_string(&self.command)?;
        let user = Message { role: "user", content: &self.text };
        let assistant = Message { role: "assistant", content: &command };
        Ok(serde_json::to_string(&Row { messages: [user, assistant] })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_no_field_left_and_one_command() {
        let mut commands = std::collections::BTreeMap::new();
        for request in splits().iter().flat_map(|(_, requests)| requests) {
            assert!(!request.text.contains(['{', '}']), "{}", request.text);
            let command = serde_json::to_string(&request.command).unwrap();
            assert_eq!(commands.entry(request.text.clone()).or_insert_with(|| command.clone()), &command);
        }
    }

    #[test]
    fn no_command_is_in_two_splits() {
        let splits = splits();
        let commands = |at: usize| -> BTreeSet<String> {
            splits[at].1.iter().map(|request| serde_json::to_string(&request.command).unwrap()).collect()
        };
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            assert!(commands(one).is_disjoint(&commands(other)));
        }
    }

    #[test]
    fn the_shipped_requests_are_those_of_the_generator() -> io::Result<()> {
        let (folder, shipped) = (tempfile::tempdir()?, Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        write_requests(folder.path())?;
        for (split, ..) in SPLITS {
            let name = format!("text/requests/{split}.jsonl");
            assert!(fs::read(folder.path().join(&name))? == fs::read(shipped.join(&name))?, "{name}");
        }
        Ok(())
    }
}
