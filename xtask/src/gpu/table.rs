//! The result as a section of `docs/benchmarks.md`.

use super::report::{Part, Report, Status};
use serde_json::Value;
use std::fmt::Write;

/// The heading of the section.
pub(crate) fn heading(report: &Report) -> String {
    let (hardware, is_software) = report.hardware();
    let software = if is_software { ", emulated in software" } else { "" };
    format!("GPU: {hardware}{software}, {}", report.date)
}

/// The body of the section: a row for each part.
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = format!("Device {}, weights {}, {}", report.device, report.dtype, report.program);
    for more in [report.driver.as_str(), if report.small { "small shapes" } else { "" }] {
        if !more.is_empty() {
            let _ = write!(out, ", {more}");
        }
    }
    out.push_str(" (`cargo xtask gpu`).");
    if report.hardware().1 {
        out.push_str(" It is no GPU: the times say nothing of one.");
    }
    out.push_str(
        "\n\n| part | | s in all | tokens/s | of peak | GB of the device | estimated | launches of a step |\n",
    );
    out.push_str("|---|---|---:|---:|---:|---:|---:|---:|\n");
    for part in &report.parts {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", row(part));
    }
    let reasons = report.parts.iter().filter(|part| part.status != Status::Passed);
    for (index, Part { name, reason, .. }) in reasons.enumerate() {
        let before = if index == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{before}- {name}: {}", last_line(reason));
    }
    out
}

fn row(Part { name, status, seconds, result, .. }: &Part) -> String {
    let cell = |key: &str, format: &dyn Fn(f64) -> String| result.get(key).and_then(Value::as_f64).map(format);
    let cells = [
        cell("tokens_per_second", &|speed| if speed < 100.0 { format!("{speed:.1}") } else { format!("{speed:.0}") }),
        cell("share_of_matmul_peak", &|share| format!("{:.0} %", 100.0 * share)),
        cell("device_memory_bytes", &|bytes| format!("{:.2}", bytes / 1e9)),
        cell("memory_estimate_bytes", &|bytes| format!("{:.2}", bytes / 1e9)),
        cell("launches", &|launches| format!("{launches:.0}")),
    ];
    let cells: String = cells.into_iter().map(|cell| format!(" {} |", cell.unwrap_or_default())).collect();
    let status = match status {
        Status::Passed => "passed",
        Status::Failed => "**failed**",
        Status::Skipped => "skipped",
    };
    format!("| {name} | {status} | {seconds:.0} |{cells}")
}

/// The last line that says something; that of a failed test says which.
fn last_line(text: &str) -> &str {
    let mut lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    lines.next().unwrap_or("without a reason")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    /// A program that lists a device, trains, and fails to generate; the memory of its 20 steps grows.
    const PROGRAM: &str = r#"#!/bin/sh
case "$*" in
--version) echo 'adamole 0.1.0' ;;
devices*) echo '{"devices":[{"name":"wgpu:0","description":"a \"card\"","is_software":true}]}' ;;
*generate*) printf 'error: no\tluck \\ today\n' >&2; exit 3 ;;
*"--steps 20"*) echo '{"warm_device_memory_bytes":1000,"device_memory_bytes":2000}' ;;
*--profile*) echo '{"launches":12,"device_memory_bytes":3000000000,"memory_estimate_bytes":2500000000}' ;;
*) echo '{"tokens_per_second":1234.5,"share_of_matmul_peak":0.25,"device_memory_bytes":1500000000}' ;;
esac
"#;

    #[test]
    fn every_part_of_the_script_is_recorded_and_a_failure_stops_no_other() {
        let folder = std::env::temp_dir().join(format!("adamole-gpu-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (program, output) = (folder.join("program"), folder.join("gpu.json"));
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let script = crate::root().join("xtask/gpu/run.sh");
        let mut command = Command::new("bash");
        command.arg(script).args(["--small", "--device", "wgpu"]).arg("--program").arg(&program);
        let ran = command.arg("--output").arg(&output).output().unwrap();
        assert_eq!(ran.status.code(), Some(1), "{}", String::from_utf8_lossy(&ran.stderr));

        let report = Report::read(&output).unwrap();
        assert_eq!(report.failed(), ["generation llama-narrow adamole", "flat llama-narrow adamole"]);
        assert_eq!(report.hardware(), ("a \"card\"".into(), true));
        let part = |name: &str| report.parts.iter().find(|part| part.name == name).unwrap();
        assert_eq!(part("golden").status, Status::Skipped);
        let reason = &part("generation llama-narrow adamole").reason;
        assert_eq!(reason, "exit code 3: error: no luck \\ today");
        let page = markdown(&report);
        for line in [
            "| step llama-narrow lora | passed | 0 | 1234 | 25 % | 1.50 |  |  |",
            "| launches llama-narrow adamole | passed | 0 |  |  | 3.00 | 2.50 | 12 |",
            "- flat llama-narrow adamole: memory of the device grew from 1000 to 2000 bytes",
            "- golden: needs --tests, the built test program",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(heading(&report).starts_with("GPU: a \"card\", emulated in software, "));
        fs::remove_dir_all(&folder).unwrap();
    }
}
