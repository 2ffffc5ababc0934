//! The documentation as data: its pages with their links, anchors and commands.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The root folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What may stand after `sh` at the beginning of a block of commands: how the block is tested, or why it is not run.
pub const BLOCKS: [(&str, &str); 9] = [
    ("run", "runs in tests, with the models and data in `datasets`"),
    ("ci", "is a step of CI"),
    ("needs-network", "needs models or data from elsewhere"),
    ("needs-device", "needs a device that CI does not have"),
    ("needs-mpi", "needs several processes or machines"),
    ("needs-slurm", "needs a scheduler"),
    ("long", "takes too long"),
    ("needs-python", "needs packages of Python"),
    ("outside", "asks a running server, or belongs to another program"),
];

/// A page of the documentation.
#[derive(Debug)]
pub struct Page {
    /// Relative to the root of the workspace.
    pub path: PathBuf,
    /// Markdown.
    pub text: String,
}

/// A block of shell commands.
#[derive(Debug)]
pub struct Block {
    /// Counted from 1.
    pub line: usize,
    /// What stands after `sh,`; empty where nothing does.
    pub kind: String,
    /// The commands.
    pub text: String,
}

/// Every page that is written for readers, except reports of results, which are generated.
pub fn pages() -> Vec<Page> {
    let root = root();
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut add = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let names = entries.flatten().map(|entry| entry.file_name());
        let markdown = names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"));
        paths.extend(markdown.map(|name| Path::new(folder).join(name)));
    };
    ["", "docs", "docs/upstream", "datasets", "fuzz", "tests", "tests/faults", "xtask"].into_iter().for_each(&mut add);
    let crates = fs::read_dir(root.join("crates")).unwrap_or_else(|error| panic!("crates: {error}"));
    for name in crates.flatten().map(|entry| entry.file_name()) {
        add(&format!("crates/{}", name.display()));
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text =
                fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Page { path, text }
        })
        .collect()
}

impl Page {
    fn events(&self) -> impl Iterator<Item = (Event<'_>, std::ops::Range<usize>)> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter()
    }

    fn line(&self, byte: usize) -> usize {
        1 + self.text[..byte].matches('\n').count()
    }

    /// Where a line is, as in `docs/guide.md:12`.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// Destinations of links and pictures with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let destination = |event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
            _ => None,
        };
        self.events().filter_map(|(event, range)| Some((self.line(range.start), destination(event)?))).collect()
    }

    /// The anchors of the headings, as GitHub and mdBook make them.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors = Vec::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut heading: Option<String> = None;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let before = seen.entry(anchor.clone()).or_default();
                    anchors.push(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
                    *before += 1;
                }
                _ => {}
            }
        }
        anchors
    }

    /// The blocks that are shell commands.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut inside = false;
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    let (language, kind) = info.split_once(',').unwrap_or((&*info, ""));
                    inside = language == "sh";
                    if inside {
                        let (line, kind) = (self.line(range.start), kind.to_owned());
                        blocks.push(Block { line, kind, text: String::new() });
                    }
                }
                Event::Text(text) if inside => blocks.iter_mut().last().iter_mut().for_each(|b| b.text.push_str(&text)),
                Event::End(TagEnd::CodeBlock) => inside = false,
                _ => {}
            }
        }
        blocks
    }

    /// Code within a text with its lines, as in `adamole devices`.
    pub fn inline_code(&self) -> Vec<(usize, String)> {
        let mut code = Vec::new();
        for (event, range) in self.events() {
            if let Event::Code(text) = event {
                // Code may be broken over lines.
                code.push((self.line(range.start), text.replace('\n', " ")));
            }
        }
        code
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

impl Block {
    /// The calls of a program in the block, with the words after its name. `program` may be two words, as in `cargo xtask`.
    ///
    /// # Errors
    /// A quote is never closed.
    pub fn calls(&self, program: &str) -> Result<Vec<Vec<String>>, String> {
        let mut calls = Vec::new();
        for command in commands(&self.text)? {
            calls.extend(call(&command, program));
        }
        Ok(calls)
    }
}

/// The words of every command of a text. Words of the shell end a command: `|`, `>`, `&&` and so on.
fn commands(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut commands = Vec::new();
    let mut rest = String::new();
    for line in text.lines() {
        rest.push_str(line);
        let words = match shlex::split(rest.trim_end_matches('\\')) {
            Some(words) if !rest.ends_with('\\') => words,
            _ => {
                // The command goes on in the next line.
                if rest.ends_with('\\') {
                    rest.pop();
                }
                rest.push('\n');
                continue;
            }
        };
        rest.clear();
        commands.extend(words.split(|word| is_of_the_shell(word)).map(<[String]>::to_vec).filter(|c| !c.is_empty()));
    }
    if rest.is_empty() { Ok(commands) } else { Err(format!("a quote is not closed: {rest}")) }
}

fn is_of_the_shell(word: &str) -> bool {
    ["|", "&&", "||", ";", "&", ">", ">>", "<", "2>"].contains(&word)
}

/// What starts a program on several machines, with flags of its own.
const LAUNCHERS: [&str; 2] = ["mpirun", "srun"];

/// The words after the name of `program`, if the command calls it; after variables that are set for it, or by a launcher.
fn call(command: &[String], program: &str) -> Option<Vec<String>> {
    let is_variable = |word: &&String| word.split_once('=').is_some_and(|(name, _)| name.chars().all(is_of_a_name));
    let mut start = command.iter().take_while(is_variable).count();
    if command.get(start).is_some_and(|word| LAUNCHERS.contains(&word.as_str())) {
        start += command[start..].iter().position(|word| word.rsplit('/').next() == Some(program))?;
    }
    let mut words = command[start..].iter();
    for (i, expected) in program.split(' ').enumerate() {
        let word = words.next()?;
        let name = if i == 0 { word.rsplit('/').next()? } else { word };
        if name != expected {
            return None;
        }
    }
    Some(words.cloned().collect())
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What is wrong with the calls of a program on all pages: in blocks, which are parsed as they are, and in code within a text, of
/// which subcommands and flags have to exist.
pub fn wrong_calls(command: &clap::Command, program: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            let calls = block.calls(program).unwrap_or_else(|error| panic!("{}: {error}", page.at(block.line)));
            for words in calls {
                let arguments = [program.to_owned()].into_iter().chain(words.iter().cloned());
                match command.clone().try_get_matches_from(arguments) {
                    Err(error) if error.use_stderr() => {
                        wrong.push(format!("{}: {program} {}\n{error}", page.at(block.line), words.join(" ")));
                    }
                    _ => {}
                }
            }
        }
        for (line, code) in page.inline_code() {
            let Some(words) = shlex::split(&code).as_deref().and_then(|words| call(words, program)) else { continue };
            if let Some(problem) = unknown_word(command, &words) {
                wrong.push(format!("{}: `{code}`: {problem}", page.at(line)));
            }
        }
    }
    wrong
}

/// A subcommand or a flag that does not exist.
fn unknown_word(command: &clap::Command, words: &[String]) -> Option<String> {
    let mut command = command.clone();
    command.build();
    let mut command = &command;
    for word in words.iter().take_while(|word| *word != "--" && !is_of_the_shell(word)) {
        if let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) {
            let name = flag.split('=').next().unwrap_or(flag);
            let is_known = |argument: &clap::Arg| argument.get_long() == Some(name);
            if !command.get_arguments().any(is_known) {
                return Some(format!("{} has no flag --{name}", command.get_name()));
            }
        } else if let Some(subcommand) = command.find_subcommand(word) {
            command = subcommand;
        } else if command.has_subcommands() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            return Some(format!("{} has no command {word}", command.get_name()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_commands_of_a_shell() {
        let text = "HOME=/x target/release/adamole train --model \"$model\" \\\n    --epochs 3   # a comment\n\
                    curl -d '{\n\"a\": 1}' | adamole template > out\n";
        let block = Block { line: 1, kind: String::new(), text: text.into() };
        let calls = block.calls("adamole").unwrap_or_default();
        assert_eq!(calls, [vec!["train", "--model", "$model", "--epochs", "3"], vec!["template"]]);
        assert!(Block { text: "adamole 'x".into(), ..block }.calls("adamole").is_err());
    }

    #[test]
    fn a_call_is_found_behind_its_launcher() {
        let text = "mpirun -n 4 target/release/adamole train --ranks\nmpirun -n 4 other adamolex\n";
        let block = Block { line: 1, kind: String::new(), text: text.into() };
        assert_eq!(block.calls("adamole").unwrap_or_default(), [vec!["train", "--ranks"]]);
    }

    #[test]
    fn anchors_are_those_of_the_headings() {
        let page =
            Page { path: "a.md".into(), text: "# 1. A `file` of *x*\n\n## Again\n\n## Again\n\n# What's -x?\n".into() };
        assert_eq!(page.anchors(), ["1-a-file-of-x", "again", "again-1", "whats--x"]);
    }

    #[test]
    fn unknown_flags_and_commands_are_found() {
        let train = clap::Command::new("train").arg(clap::Arg::new("model").long("model"));
        let command = clap::Command::new("adamole").subcommand(train);
        let of = |code: &str| unknown_word(&command, &code.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("train --model x"), None);
        assert_eq!(of("train --modell x").as_deref(), Some("train has no flag --modell"));
        assert_eq!(of("train -- --modell x"), None);
        assert_eq!(of("trian").as_deref(), Some("adamole has no command trian"));
    }
}
