//! The results as one Markdown table.

use super::{comparison::Comparison, measured::Measured};
use std::fmt::Write;

/// A row for each system. Memory is that of the GPU, if one is used. The ratio is that of the seconds to those of the first system of the
/// comparison, `reference`.
pub(crate) fn markdown(results: &[(Comparison, Vec<Option<Measured>>)], reference: &str) -> String {
    let mut out = format!("| work | system | wall s | speed | of peak | peak GiB | ratio to {reference} |\n");
    out.push_str("|---|---|---:|---:|---:|---:|---:|\n");
    for (comparison, measured) in results {
        let first = measured.first().and_then(Option::as_ref).map(|first| first.seconds);
        for (system, measured) in comparison.systems.iter().zip(measured) {
            let cells = match measured {
                None => "failed | - | - | - | -".into(),
                Some(measured) => {
                    let peak = measured
                        .device_memory_bytes
                        .or(measured.peak_memory_bytes)
                        .map(|bytes| bytes / f64::from(1 << 30));
                    let ratio = first.map(|first| measured.seconds / first);
                    let digits = if measured.seconds < 1.0 { 4 } else { 2 };
                    let seconds = format!("{:.digits$}", measured.seconds);
                    let share =
                        measured.share_of_matmul_peak.map_or("-".into(), |share| format!("{:.0} %", 100.0 * share));
                    format!("{seconds} | {} | {share} | {} | {}", measured.speed(), number(peak), number(ratio))
                }
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "| {} | {} | {cells} |", comparison.title, system.name);
        }
    }
    out
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::comparison::{System, Work};

    #[test]
    fn ratios_are_to_the_first_and_a_failure_is_shown() {
        let systems = ["one", "two", "three"].map(|name| System { name, work: Work::Layer, arguments: "".into() });
        let comparison = Comparison { title: "work".into(), systems: systems.into() };
        let measured = |seconds: f64| {
            let text = format!(r#"{{"seconds": {seconds}, "rows_per_second": 1234, "peak_memory_bytes": 1610612736}}"#);
            serde_json::from_str::<Measured>(&text).ok()
        };
        let table = markdown(&[(comparison, vec![measured(0.5), measured(1.25), None])], "one");
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| work | one | 0.5000 | 1234 rows/s | - | 1.50 | 1.00 |",
                "| work | two | 1.25 | 1234 rows/s | - | 1.50 | 2.50 |",
                "| work | three | failed | - | - | - | - |",
            ]
        );
    }
}
