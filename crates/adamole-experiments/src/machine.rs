//! The machine and the day of a measurement. What the system does not tell is what the program was built for, or `unknown`.

use crate::ExperimentError;
use std::{
    env::consts::{ARCH, OS},
    fs,
    path::Path,
    process::Command,
    thread,
    time::SystemTime,
};

/// The number of cores of this process.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// The model of the processor, or its architecture where the system names none, and its widest instructions: a name can stand
/// for several generations, which differ in speed.
pub fn processor() -> String {
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| ARCH.into());
    let flags = field("/proc/cpuinfo", "flags").unwrap_or_default();
    match widest(&flags) {
        Some(instructions) => format!("{model} ({instructions})"),
        None => model,
    }
}

/// The widest instructions that products on a CPU make use of.
fn widest(flags: &str) -> Option<&'static str> {
    let known = [("avx512_bf16", "AVX-512 BF16"), ("avx512f", "AVX-512"), ("avx2", "AVX2")];
    known.into_iter().find(|(flag, _)| flags.split_whitespace().any(|it| it == *flag)).map(|(_, name)| name)
}

/// The memory in bytes, on Linux.
pub fn memory_bytes() -> Option<u64> {
    let kibibytes: u64 = field("/proc/meminfo", "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The number of cores and the memory.
pub fn size() -> String {
    let memory =
        memory_bytes().map_or("unknown".into(), |bytes| format!("{:.1} GiB of", bytes as f64 / f64::from(1 << 30)));
    format!("{} cores, {memory} memory", cores())
}

/// The name of the operating system.
pub fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| Some(line.strip_prefix("PRETTY_NAME=")?.trim_matches('"').to_owned()));
    name.unwrap_or_else(|| OS.into())
}

/// The name, version and revision of a program.
///
/// # Errors
/// It cannot be started.
pub fn version(program: &Path) -> Result<String, ExperimentError> {
    let output = Command::new(program).arg("--version").output().map_err(ExperimentError::io(program))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = |line: &str| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim().to_owned());
    text.lines().find_map(value)
}

/// The day in UTC, `2026-03-01`.
pub fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processors_of_a_name_differ_in_their_widest_instructions() {
        let flags = ["fma avx2 avx512f avx512_bf16", "avx2 avx512f avx512_vnni", "sse2 avx2", "sse2 avx", ""];
        let expected = [Some("AVX-512 BF16"), Some("AVX-512"), Some("AVX2"), None, None];
        assert_eq!(flags.map(widest), expected);
    }
}
