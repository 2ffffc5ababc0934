//! `cargo xtask ci`: the checks of a change.

use crate::{Failure, cargo, root};
use std::{fs, io::ErrorKind, process::Command, thread, time::Instant};

/// The tests on wgpu: layers, some models, losses, twenty steps of training and a resumed run. Software Vulkan compiles shaders for
/// minutes, and less long without optimisation; `cargo xtask test --device wgpu` runs the other tests.
const ON_WGPU: [&str; 9] = [
    "--",
    "--nocapture",
    "golden_layers",
    "golden_models::models",
    "families::families_equal",
    "loss::",
    "the_first_twenty_steps",
    "a_resumed_run",
    "composed_form",
];
const MODELS_ON_WGPU: &str = "llama_gqa__ada_1,llama3_short__lora,gemma2_caps";

/// What stays in the repository.
const UNPUBLISHED: [&str; 6] =
    ["--exclude", "adamole-tests", "--exclude", "adamole-dataset-generator", "--exclude", "xtask"];

pub(crate) fn run() -> Result<(), Failure> {
    let started = Instant::now();
    let part = |arguments: &[&str], variables: &[(&str, &str)]| {
        let part_started = Instant::now();
        cargo::run(arguments, variables).map_err(|failure| failure.to_string())?;
        let (part, all) = (part_started.elapsed().as_secs(), started.elapsed().as_secs());
        eprintln!("cargo {} took {part} s, {all} s in all", arguments.join(" "));
        Ok::<_, String>(())
    };
    part(&["fmt", "--all", "--check"], &[])?;
    // In the profile of the tests: the build scripts, which compile the C of the dependencies, then run once for both.
    part(
        &["clippy", "--release", "--workspace", "--all-targets", "--features", "adamole/mpi", "--", "-D", "warnings"],
        &[],
    )?;
    part(&["doc", "--release", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    // What crates.io would get, without building it once more.
    part(&[&["package", "--no-verify", "--allow-dirty", "--workspace"][..], &UNPUBLISHED].concat(), &[])?;
    if_installed("mdbook", &["build", "docs"])?;
    if_installed("typos", &[])?;

    // The client of the hub takes a third of the time of a build, and the release build has it.
    let cuda = cargo::Build::of("cuda")?.without_hub();
    let cuda = ["check", "--workspace"].into_iter().chain(cuda.arguments()).collect::<Vec<_>>();
    let wgpu = cargo::Build::of("wgpu")?.without_hub();
    let on_wgpu = |tests: &[&str], last: &[&str]| {
        let all = ["test", "--profile", "unoptimised", "--workspace"].into_iter().chain(wgpu.arguments());
        let variables = [
            ("ADAMOLE_TEST_DEVICE", "wgpu"),
            ("ADAMOLE_TEST_CASES", MODELS_ON_WGPU),
            ("PROPTEST_CASES", "1"),
            ("GALLIVM_PERF", "nopt"),
        ];
        part(&all.chain(cargo::chosen(tests)).chain(last.iter().copied()).collect::<Vec<_>>(), &variables)
    };
    // A workspace of its own, with the versions of this one.
    fs::copy(root().join("Cargo.lock"), root().join("examples/learner/Cargo.lock"))?;

    // What has a program for the CPU, and what has other backends.
    let chains: [&(dyn Fn() -> Result<(), String> + Sync); 2] = [
        &|| {
            // The two commands at the start of the README; the second one checks its report.
            part(&["xtask", "test"], &[])?;
            part(&["xtask", "reproduce", "--check"], &[])?;
            part(&["test", "--release", "--workspace", "--features", "adamole/mpi", "--test", "ranks"], &[])?;
            // Compiling it takes five minutes more than checking it.
            part(&["check", "--release", "--manifest-path", "examples/learner/Cargo.toml"], &[])
        },
        &|| {
            // CUDA cannot be linked without a bundle of LLVM that its build script downloads, but it can be checked.
            part(&cuda, &[("DOCS_RS", "1")])?;
            on_wgpu(&cargo::DEVICE_TESTS, &["--no-run"])?;
            at_the_same_time(&cargo::DEVICE_TESTS, |test| on_wgpu(&[test], &ON_WGPU))
        },
    ];
    // A build or a test does not always have work for all cores.
    at_the_same_time(&chains, |chain| chain())?;
    Ok(())
}

/// Runs all of `parts` to their end; the error is that of the first of them that failed.
fn at_the_same_time<T: Sync>(parts: &[T], run: impl Fn(&T) -> Result<(), String> + Sync) -> Result<(), String> {
    let run = &run;
    thread::scope(|scope| {
        let running: Vec<_> = parts.iter().map(|part| scope.spawn(move || run(part))).collect();
        running.into_iter().try_for_each(|part| part.join().map_err(|_| "a part of the checks panicked")?)?;
        Ok(())
    })
}

/// Runs a program that does not come with Rust, where it is installed.
fn if_installed(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    eprintln!("$ {program} {}", arguments.join(" "));
    match Command::new(program).args(arguments).current_dir(root()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} failed ({status})").into()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("not installed: left out");
            Ok(())
        }
        Err(error) => Err(format!("{program}: {error}").into()),
    }
}
