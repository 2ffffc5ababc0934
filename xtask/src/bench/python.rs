//! The Python environment of PEFT and transformers.

use crate::{Failure, root};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The interpreter of the virtual environment in `folder`, in which the required packages are installed.
pub(crate) fn ready(folder: &Path) -> Result<PathBuf, Failure> {
    let python = folder.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    }
    // Does nothing if they are installed.
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements()))?;
    Ok(python)
}

/// The packages with their versions.
pub(crate) fn versions() -> Result<String, Failure> {
    let text = fs::read_to_string(requirements())?;
    let packages = text.lines().filter(|line| !line.starts_with('#'));
    Ok(packages.map(|line| line.replace("==", " ")).collect::<Vec<_>>().join(", "))
}

fn requirements() -> PathBuf {
    root().join("xtask/peers/requirements.txt")
}

fn run(command: &mut Command) -> Result<(), Failure> {
    eprintln!("$ {command:?}");
    // stdout is for the result.
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if output.status.success() { Ok(()) } else { Err(format!("{command:?} ended with {}", output.status).into()) }
}
