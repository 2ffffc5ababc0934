//! Calls of cargo. They always build the whole workspace with one profile, because a part of it would have other features and compile
//! Burn again.

use crate::{Failure, root};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Runs cargo in the workspace; fails if cargo fails.
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), Failure> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = command().args(arguments).envs(variables.iter().copied()).status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed ({status})", arguments.join(" ")).into()) }
}

/// The tests of devices. The others test the CPU, or no device.
pub(crate) const DEVICE_TESTS: [&str; 4] = ["devices", "device_names", "forms", "exact_products"];

/// The arguments that choose these tests.
pub(crate) fn chosen<'a>(tests: &[&'a str]) -> impl Iterator<Item = &'a str> {
    tests.iter().flat_map(|name| ["--test", name])
}

/// Runs every test of the workspace; with a device, the tests of devices on it.
pub(crate) fn test(device: Option<&str>, profile: &str, arguments: &[String]) -> Result<(), Failure> {
    let mut all = vec!["test", "--profile", profile, "--workspace"];
    let build = device.map(Build::of).transpose()?.unwrap_or_default();
    all.extend(build.arguments());
    let mut variables = Vec::new();
    if let Some(device) = device {
        variables.push(("ADAMOLE_TEST_DEVICE", device));
        all.extend(chosen(&DEVICE_TESTS));
    }
    if !arguments.is_empty() {
        all.push("--");
        all.extend(arguments.iter().map(String::as_str));
    }
    run(&all, &variables)
}

/// Builds the tests of devices with the backend of this device and returns the path of the test program of this name.
pub(crate) fn test_program_for(device: &str, name: &str) -> Result<PathBuf, Failure> {
    let build = Build::of(device)?;
    let all: Vec<_> = ["test", "--release", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]
        .into_iter()
        .chain(build.arguments())
        .chain(chosen(&DEVICE_TESTS))
        .collect();
    eprintln!("$ cargo {}", all.join(" "));
    let output = command().args(&all).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("cargo test failed ({})", output.status).into());
    }
    executable(&String::from_utf8_lossy(&output.stdout), name)
        .ok_or_else(|| format!("cargo names no test program {name}").into())
}

/// The program of the test target of this name in cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut of_target = messages.filter(|message| message["target"]["name"] == name);
    of_target.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

/// Builds the `adamole` program with the backend of this device and returns its path.
pub(crate) fn program_for(device: &str) -> Result<PathBuf, Failure> {
    build(Build::of(device)?)
}

/// The same without the client of the hub, which takes a third of the build time. The dependencies that both share are compiled once:
/// see the Cargo.toml of `adamole-hub`.
pub(crate) fn program_without_hub(device: &str) -> Result<PathBuf, Failure> {
    build(Build::of(device)?.without_hub())
}

fn build(build: Build) -> Result<PathBuf, Failure> {
    let mut all = vec!["build", "--release", "--workspace"];
    all.extend(build.arguments());
    run(&all, &[])?;
    Ok(program_in(&build.target.map_or_else(target, |folder| Ok(PathBuf::from(folder)))?))
}

/// The path of the program for the CPU, once it is built.
pub(crate) fn built_program() -> Result<PathBuf, Failure> {
    Ok(program_in(&target()?))
}

fn program_in(target: &Path) -> PathBuf {
    target.join("release").join(format!("adamole{}", std::env::consts::EXE_SUFFIX))
}

/// A build of the program. Each backend beside that of the CPU has a feature and a target folder of its own, so that Burn is compiled
/// once for each.
#[derive(Default)]
pub(crate) struct Build {
    feature: Option<String>,
    target: Option<String>,
    is_without_hub: bool,
}

impl Build {
    /// The build with the backend of this device.
    pub(crate) fn of(device: &str) -> Result<Self, Failure> {
        let kind = device.split(':').next().unwrap_or(device);
        if ["auto", "cpu"].contains(&kind) {
            return Ok(Self::default());
        }
        let folder = target()?.join(kind);
        let folder = folder.to_str().ok_or("the target folder's name is not UTF-8")?;
        let feature = format!("adamole/{kind},adamole-tests/{kind}");
        Ok(Self { feature: Some(feature), target: Some(folder.to_owned()), is_without_hub: false })
    }

    /// This build without the client of the hub.
    pub(crate) fn without_hub(self) -> Self {
        let feature = ["adamole/flex"].into_iter().chain(self.feature.as_deref()).collect::<Vec<_>>().join(",");
        Self { feature: Some(feature), is_without_hub: true, ..self }
    }

    pub(crate) fn arguments(&self) -> Vec<&str> {
        let flags = [("--features", &self.feature), ("--target-dir", &self.target)];
        let flags = flags.into_iter().filter_map(|(name, value)| Some([name, value.as_deref()?])).flatten();
        self.is_without_hub.then_some("--no-default-features").into_iter().chain(flags).collect()
    }
}

/// The target folder.
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
    // Variables about this package: build scripts that read them would run again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|own| name.starts_with(own))) {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_test_is_found_among_cargos_messages() {
        let messages = "\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"burn\"},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"devices\"},\"executable\":\"/t/devices-1\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages, "devices"), Some(PathBuf::from("/t/devices-1")));
        assert_eq!(executable(messages, "burn"), None);
    }
}
