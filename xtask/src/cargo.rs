//! Cargo, started with the one profile and feature set that everything shares: always the whole workspace, because a
//! part of it would have other features and compile Burn anew.

use crate::{Failure, root};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// Runs cargo in the workspace; fails as it fails.
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), Failure> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = command().args(arguments).envs(variables.iter().copied()).status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed ({status})", arguments.join(" ")).into()) }
}

/// Every test of the workspace.
pub(crate) fn test(arguments: &[String]) -> Result<(), Failure> {
    let mut all = vec!["test", "--release", "--workspace"];
    if !arguments.is_empty() {
        all.push("--");
        all.extend(arguments.iter().map(String::as_str));
    }
    run(&all, &[])
}

/// Builds the `adamole` program and says where it is.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    program_with(None)
}

/// Builds the `adamole` program with further features of its crate, such as `adamole/cuda`.
pub(crate) fn program_with(features: Option<&str>) -> Result<PathBuf, Failure> {
    let mut arguments = vec!["build", "--release", "--workspace"];
    arguments.extend(features.into_iter().flat_map(|features| ["--features", features]));
    run(&arguments, &[])?;
    Ok(target()?.join("release").join(format!("adamole{}", std::env::consts::EXE_SUFFIX)))
}

/// The folder of what is built.
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let output =
        command().args(["metadata", "--format-version", "1", "--no-deps"]).stderr(Stdio::inherit()).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target))
}

fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
