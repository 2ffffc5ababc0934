//! `adamole config`: the settings of runs, as a file to start from, with their origins, as a schema and as a table.

mod init;
mod list;
mod schema;
mod show;

use super::{
    Failure,
    output::{Format, print},
    settings::{Flags, Settings},
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What help ends with.
pub(crate) const EXAMPLES: &str = "\
Examples:
  adamole config init --method mole > run.toml
  adamole config show --config run.toml --epochs 3
  adamole config schema > adamole.schema.json";

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a commented configuration file for `adamole train --config`, with every setting
    #[command(after_help = "\
Examples:
  adamole config init > run.toml
  adamole config init --method sira --benchmark copa --compat reference > run.toml")]
    Init(Box<InitArguments>),
    /// Print the settings of a run, defaults included, and where each comes from
    #[command(after_help = "\
Examples:
  adamole config show --config run.toml --epochs 3
  adamole config show --resume runs/copa")]
    Show(Box<show::ShowArguments>),
    /// Print a JSON Schema of configuration files, by which editors complete and check them
    #[command(
        after_help = "\
Examples:
  adamole config schema > adamole.schema.json",
        after_long_help = "\
Examples:
  adamole config schema > adamole.schema.json

Editors that use Taplo (Even Better TOML in VS Code, Helix, Neovim) take the schema from the first line of a file:
  #:schema ./adamole.schema.json"
    )]
    Schema,
    /// Print a table of all settings
    #[command(after_help = "\
Examples:
  adamole config list
  adamole config list --format json")]
    List(ListArguments),
}

#[derive(Args)]
pub(crate) struct InitArguments {
    /// How the file is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    settings: Flags<Settings>,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// How the table is printed: as Markdown, or as a list of objects
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Init(arguments) => {
            let file = init::file(&arguments.settings.0);
            print(arguments.format, &json!({ "file": file }), || file.trim_end().to_owned())
        }
        ConfigCommand::Show(arguments) => show::run(*arguments),
        ConfigCommand::Schema => {
            let schema = schema::schema();
            print(Format::Text, &schema, || format!("{schema:#}"))
        }
        ConfigCommand::List(arguments) => print(arguments.format, &list::rows(), list::table),
    }
}

/// A line of a configuration file. A value in JSON is one in TOML, except for a character that TOML wants escaped.
fn assignment(name: &str, value: &Value) -> String {
    format!("{name} = {value}").replace('\u{7f}', "\\u007f")
}
