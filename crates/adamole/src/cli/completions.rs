//! `adamole completions`: completions of the command line for a shell.

use super::{Failure, output::written_or_closed};
use crate::{program, stdout};
use clap::Args;
use clap_complete::Shell;
use std::io::Write;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole completions bash > ~/.local/share/bash-completion/completions/adamole
  adamole completions zsh > ~/.zfunc/_adamole
  adamole completions fish > ~/.config/fish/completions/adamole.fish";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArguments {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &CompletionsArguments) -> Result<(), Failure> {
    // Into memory first: the generator does not return errors.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program::command(), program::NAME, &mut script);
    written_or_closed(stdout::open().and_then(|mut out| out.write_all(&script).and_then(|()| out.flush())))
}
