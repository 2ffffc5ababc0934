//! What has to hold before a change lands.

use crate::{Failure, cargo};
use std::time::Instant;

pub(crate) fn run() -> Result<(), Failure> {
    let started = Instant::now();
    let part = |arguments: &[&str], variables: &[(&str, &str)]| {
        let part_started = Instant::now();
        cargo::run(arguments, variables)?;
        let (part, all) = (part_started.elapsed().as_secs(), started.elapsed().as_secs());
        eprintln!("took {part} s, {all} s in all");
        Ok::<_, Failure>(())
    };
    part(&["fmt", "--all", "--check"], &[])?;
    part(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])?;
    part(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    // The two commands that the README opens with; the second one looks at its own report.
    part(&["xtask", "test"], &[])?;
    part(&["xtask", "reproduce", "--check"], &[])
}
