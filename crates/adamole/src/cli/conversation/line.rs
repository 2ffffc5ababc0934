//! What a line of the user is: a message or a command.

use std::path::PathBuf;

/// A line of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing.
    Empty,
    /// A message to answer.
    Message(String),
    /// Begin anew.
    Reset,
    /// Show the routing of answers, or no longer.
    Routing,
    /// The system message; none without a text.
    System(Option<String>),
    /// Append the conversation to a file.
    Save(PathBuf),
    Help,
    Quit,
}

pub(super) const HELP: &str = "\
/reset        begin anew; the system message stays
/system TEXT  set the system message; without TEXT, there is none
/routing      show how many experts are active for each token of an answer, or no longer
/save FILE    append the conversation to a file of JSON Lines, as a row with \"messages\"
/help         show this list
/quit         end, as the end of the input does
//TEXT        send a message that begins with /
Ctrl-C stops an answer; a second one ends the program";

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// It is a command that is not known, or one that lacks its argument.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(Self::Empty);
        }
        let Some(command) = line.strip_prefix('/') else { return Ok(Self::Message(line.to_owned())) };
        if command.starts_with('/') {
            return Ok(Self::Message(command.to_owned()));
        }
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let argument = argument.trim();
        let alone = |line: Self| match argument {
            "" => Ok(line),
            _ => Err(format!("/{name} takes no argument")),
        };
        match name {
            "reset" => alone(Self::Reset),
            "routing" => alone(Self::Routing),
            "help" => alone(Self::Help),
            "quit" => alone(Self::Quit),
            "system" => Ok(Self::System((!argument.is_empty()).then(|| argument.to_owned()))),
            "save" if argument.is_empty() => Err("/save needs the name of a file".into()),
            "save" => Ok(Self::Save(argument.into())),
            _ => Err(format!("there is no command /{name}; /help lists them")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_begin_with_a_slash() {
        let message = |text: &str| Ok(Line::Message(text.into()));
        assert_eq!(Line::parse(" Hello / \r\n"), message("Hello /"));
        assert_eq!(Line::parse("//reset x"), message("/reset x"));
        assert_eq!(Line::parse("  "), Ok(Line::Empty));
        assert_eq!(Line::parse("/reset"), Ok(Line::Reset));
        assert_eq!(Line::parse("/system\tBe brief."), Ok(Line::System(Some("Be brief.".into()))));
        assert_eq!(Line::parse("/system"), Ok(Line::System(None)));
        assert_eq!(Line::parse("/save a b.jsonl"), Ok(Line::Save("a b.jsonl".into())));
        assert_eq!(Line::parse("/save"), Err("/save needs the name of a file".into()));
        assert_eq!(Line::parse("/quit now"), Err("/quit takes no argument".into()));
        assert_eq!(Line::parse("/qiut"), Err("there is no command /qiut; /help lists them".into()));
    }
}
