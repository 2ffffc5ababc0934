//! The list of a dry run.

use crate::planned::{Planned, State, speed};

const GIBIBYTE: f64 = (1u64 << 30) as f64;

/// A line for each cell and the sums, with the measured or estimated times of cells of which `jobs` run in parallel.
pub(crate) fn text(cells: &[Planned], jobs: usize, gigaflops: f64) -> String {
    let speed = speed(cells, 1e9 * gigaflops);
    let mut out = format!("{:<48} {:<9} {:>8} {:>11} {:>10}\n", "cell", "state", "steps", "memory", "time");
    let (mut left, mut all, mut memory) = (0.0, 0.0, 0.0_f64);
    for planned in cells {
        let state = match (&planned.state, planned.is_done()) {
            (_, true) => "done",
            _ if planned.cell.waits => "waits",
            (State::Missing, _) => "to run",
            (State::Outdated, _) => "outdated",
            (State::Run(_), _) => "failed",
        };
        let took = planned.outcome().filter(|_| planned.is_done()).map(|outcome| outcome.seconds);
        let id = planned.cell.key.id();
        let Some(estimate) = &planned.estimate else {
            let took = took.map_or_else(|| "–".into(), duration);
            out += &format!("{id:<48} {state:<9} {:>8} {:>11} {took:>10}\n", "–", "–");
            continue;
        };
        let seconds = took.unwrap_or(planned.operations() / speed);
        all += seconds;
        left += if took.is_some() { 0.0 } else { seconds };
        let gibibytes = estimate.memory_bytes as f64 / GIBIBYTE;
        memory = memory.max(gibibytes);
        let steps = if planned.cell.is_trained { estimate.steps } else { 0 };
        out += &format!("{id:<48} {state:<9} {steps:>8} {gibibytes:>7.2} GiB {:>10}\n", duration(seconds));
    }
    if cells.iter().any(|planned| planned.estimate.is_none()) {
        return out
            + &format!(
                "{} cells; without the program there are no steps, memory and time (cargo build --release --workspace)",
                cells.len()
            );
    }
    let jobs = jobs as f64;
    out + &format!(
        "{} cells, {} in all, {} left; the largest takes {memory:.1} GiB; {:.0} gigaflop/s assumed for each of {jobs} jobs",
        cells.len(),
        duration(all / jobs),
        duration(left / jobs),
        speed / 1e9,
    )
}

/// A time in words: `42 s`, `3 min 05 s` or `2 h 10 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_in_words() {
        assert_eq!([42.4, 185.0, 7800.0].map(duration), ["42 s", "3 min 05 s", "2 h 10 min"]);
    }
}
