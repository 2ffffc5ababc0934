//! What one step asks of a device: launches of kernels, and bytes.
//!
//! CubeCL names every kernel that it launches, but does not say which bytes the kernel moves. Burn's fusion says which operations each
//! launch belongs to, and the bytes are counted from the shapes of their tensors: see [`Views`](traffic::Views::of_block).

#[cfg(feature = "profiling")]
mod observer;
#[cfg_attr(not(feature = "profiling"), allow(dead_code, reason = "only GPUs launch kernels"))]
mod traffic;

use super::{Failure, training::Training};
use crate::cli::output::size;
use adamole::device::is_cpu;
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write};
pub(super) use traffic::Bytes;
#[cfg_attr(not(feature = "profiling"), allow(unused_imports, reason = "only GPUs launch kernels"))]
use traffic::Operation;

/// Rows of each table of text; JSON has all.
const ROWS: usize = 24;

/// The launches and bytes of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Profile {
    /// Kernels launched.
    pub(super) launches: usize,
    /// Those that no block of operations launched: copies to and from the host, and what is not fused.
    launches_outside_of_blocks: usize,
    /// Counted from the shapes of the tensors of each block.
    pub(super) bytes: Bytes,
    /// By name, most launches first.
    kernels: Vec<Kernel>,
    /// By their operations and kernels, most bytes first.
    blocks: Vec<Block>,
}

/// A kernel, by the name of its type without parameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Kernel {
    name: String,
    launches: usize,
}

/// Blocks of the same operations that launched the same kernels.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Block {
    operations: String,
    kernels: String,
    times: usize,
    bytes: Bytes,
}

/// What is counted while a step runs.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "profiling"), allow(dead_code, reason = "only GPUs launch kernels"))]
struct Counts {
    kernels: BTreeMap<String, usize>,
    outside: usize,
    /// By operations and kernels.
    blocks: BTreeMap<(String, String), (usize, Bytes)>,
}

#[cfg_attr(not(feature = "profiling"), allow(dead_code, reason = "only GPUs launch kernels"))]
impl Counts {
    fn block(&mut self, operations: &[Operation], kernels: Vec<String>, bytes: Bytes) {
        if kernels.is_empty() {
            return;
        }
        let names = operations.iter().map(|operation| operation.name.as_str()).filter(|name| *name != "Drop");
        let key = (runs(names), runs(kernels.iter().map(String::as_str)));
        let (times, sum) = self.blocks.entry(key).or_default();
        *times += 1;
        *sum += bytes;
        for kernel in kernels {
            *self.kernels.entry(kernel).or_default() += 1;
        }
    }

    fn outside(&mut self, kernel: String) {
        self.outside += 1;
        *self.kernels.entry(kernel).or_default() += 1;
    }

    fn into_profile(self) -> Profile {
        let mut kernels: Vec<_> = self.kernels.into_iter().map(|(name, launches)| Kernel { name, launches }).collect();
        kernels.sort_by_key(|kernel| std::cmp::Reverse(kernel.launches));
        let block = |((operations, kernels), (times, bytes))| Block { operations, kernels, times, bytes };
        let mut blocks: Vec<_> = self.blocks.into_iter().map(block).collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.bytes.total()));
        Profile {
            launches: kernels.iter().map(|kernel| kernel.launches).sum(),
            launches_outside_of_blocks: self.outside,
            bytes: blocks.iter().fold(Bytes::default(), |sum, block| sum + block.bytes),
            kernels,
            blocks,
        }
    }
}

/// `Mul, Add x3, Exp`.
#[cfg_attr(not(feature = "profiling"), allow(dead_code, reason = "only GPUs launch kernels"))]
fn runs<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for name in names {
        match runs.last_mut() {
            Some((last, times)) if *last == name => *times += 1,
            _ => runs.push((name, 1)),
        }
    }
    let run = |(name, times): (&str, usize)| if times == 1 { name.to_owned() } else { format!("{name} x{times}") };
    runs.into_iter().map(run).collect::<Vec<_>>().join(", ")
}

/// The profile of a step of this training, after so many that are not counted: in the first ones, kernels are compiled and chosen, which
/// launches more of them.
///
/// # Errors
/// A step fails, or nothing was counted: the device is the CPU.
pub(super) fn of_step(training: &mut Training, warm_up: usize) -> Result<Profile, Failure> {
    let refused = |reason: &str| Failure::Usage(format!("--profile counts launches of kernels: {reason}"));
    if is_cpu(&training.model.device().inner()) {
        return Err(refused("the CPU backend has none, expected --device cuda, vulkan or wgpu"));
    }
    for _ in 0..warm_up.max(1) {
        training.step()?;
    }
    observed(training).ok_or_else(|| refused("this program is built without a GPU backend"))?
}

#[cfg(feature = "profiling")]
fn observed(training: &mut Training) -> Option<Result<Profile, Failure>> {
    let (step, counts) = observer::observed(|| training.step());
    Some(step.map(|_| counts.into_profile()))
}

#[cfg(not(feature = "profiling"))]
fn observed(_: &mut Training) -> Option<Result<Profile, Failure>> {
    None
}

impl Profile {
    pub(super) fn text(&self) -> String {
        let mut out = format!(
            "one step: {} kernels launched ({} of them outside of blocks), {} read, {} written (from shapes)\n",
            self.launches,
            self.launches_outside_of_blocks,
            size(Some(self.bytes.read)),
            size(Some(self.bytes.written)),
        );
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\nlaunches  kernel");
        for Kernel { name, launches } in self.kernels.iter().take(ROWS) {
            let _ = writeln!(out, "{launches:8}  {name}");
        }
        let more = |rows: usize| if rows > ROWS { format!("and {} more\n", rows - ROWS) } else { String::new() };
        let _ = write!(out, "{}", more(self.kernels.len()));
        let _ = writeln!(out, "\n   times        read     written  operations: kernels");
        for Block { operations, kernels, times, bytes } in self.blocks.iter().take(ROWS) {
            let [read, written] = [bytes.read, bytes.written].map(|bytes| size(Some(bytes)));
            let _ = writeln!(out, "{times:8}  {read:>10}  {written:>10}  {operations}: {kernels}");
        }
        let _ = write!(out, "{}", more(self.blocks.len()));
        out.truncate(out.trim_end().len());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{
        traffic::{Access, Operation},
        *,
    };

    fn operations(names: &[&str]) -> Vec<Operation> {
        let operation = |name: &&str| Operation {
            name: (*name).to_owned(),
            access: Access::Whole,
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        names.iter().map(operation).collect()
    }

    #[test]
    fn launches_and_bytes_are_summed_by_name_and_by_block() {
        let mut counts = Counts::default();
        let small = Bytes { read: 10, written: 5 };
        let fused = operations(&["Mul", "Add", "Add", "Drop"]);
        for _ in 0..3 {
            counts.block(&fused, vec!["Fused".into()], small);
        }
        let product = Bytes { read: 1000, written: 1 };
        counts.block(&operations(&["Matmul"]), vec!["Matmul".into(), "Reduce".into()], product);
        counts.block(&operations(&["Reshape"]), Vec::new(), Bytes::default());
        counts.outside("Copy".into());
        let profile = counts.into_profile();
        assert_eq!((profile.launches, profile.launches_outside_of_blocks), (6, 1));
        assert_eq!(profile.bytes, Bytes { read: 1030, written: 16 });
        assert_eq!(profile.kernels[0], Kernel { name: "Fused".into(), launches: 3 });
        let blocks: Vec<_> = profile.blocks.iter().map(|block| (block.operations.as_str(), block.times)).collect();
        assert_eq!(blocks, [("Matmul", 1), ("Mul, Add x2", 3)]);
        assert_eq!(profile.blocks[0].kernels, "Matmul, Reduce");
        assert!(profile.text().contains("       3  Fused\n"), "{}", profile.text());
    }
}
