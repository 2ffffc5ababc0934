//! The view of a run that is redrawn in place: five lines, from what is known to text.

use super::{
    super::output::{duration, percent},
    sparkline::{load, sparkline},
    state::State,
};
use adamole::train::{EpochMetrics, StepMetrics};

/// Of the bar of progress, where there is room.
const BAR: usize = 24;

/// How a part of a line looks.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    /// Names of what stands behind them.
    Name,
    /// What the eye should find.
    Strong,
}

/// A line under way: parts and their looks.
type Line = Vec<(Style, String)>;

/// The lines, none longer than `width` characters, after so many seconds; none before the first event.
pub(super) fn lines(state: &State, seconds: f64, width: usize, colours: bool) -> Vec<String> {
    if state.step.is_none() && state.validations.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![progress(state, seconds, width)];
    if let Some(step) = &state.step {
        lines.extend([losses(state, step, width), speeds(step)]);
        lines.extend(experts(step));
    }
    lines.push(accuracies(&state.validations, width));
    lines.into_iter().map(|line| painted(line, width, colours)).collect()
}

fn progress(state: &State, seconds: f64, width: usize) -> Line {
    let bar = BAR.min(width / 3);
    let full = (state.done() * bar as f64).round() as usize;
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(bar - full));
    let (step, epoch) = state.step.as_ref().map_or((0, 1), |step| (step.step + 1, step.epoch));
    let left = state.seconds_left(seconds).map(|left| format!(", {} left", duration(left))).unwrap_or_default();
    vec![
        (Style::Strong, bar),
        (Style::Plain, format!(" step {step} of {}, epoch {epoch} of {}{left}", state.steps, state.epochs)),
    ]
}

fn losses(state: &State, step: &StepMetrics, width: usize) -> Line {
    let mut line = vec![name("task loss"), number(format!("{:.4}", step.task_loss))];
    if let Some(balance) = step.balance_loss {
        line.extend([name("balance"), number(format!("{balance:.3}"))]);
    }
    let room = width.saturating_sub(length(&line));
    let recent = &state.losses[state.losses.len().saturating_sub(room)..];
    line.push((Style::Plain, sparkline(recent)));
    line
}

fn speeds(step: &StepMetrics) -> Line {
    vec![
        name("gradient norm"),
        number(format!("{:.3}", step.gradient_norm)),
        name("rate"),
        number(format!("{:.2e}", step.learning_rate)),
        name("tokens/s"),
        number(format!("{:.0}", step.tokens_per_second)),
    ]
}

/// `None` where nothing is routed.
fn experts(step: &StepMetrics) -> Option<Line> {
    let mut line = vec![name("experts"), number(format!("{:.2}", step.mean_active_experts?))];
    if let Some(threshold) = step.mean_threshold {
        line.extend([name("threshold"), number(format!("{threshold:.4}"))]);
    }
    line.extend([name("load"), number(load(&step.expert_load)), name("(even ▄)")]);
    Some(line)
}

/// The best epoch, then as many of the last ones as there is room for.
fn accuracies(validations: &[EpochMetrics], width: usize) -> Line {
    let best = validations.iter().rev().find(|epoch| epoch.best);
    let mut line = vec![name("accuracy")];
    if let Some(best) = best {
        line.push((Style::Strong, format!("best {} in epoch {}  ", percent(best.accuracy), best.epoch)));
    }
    let shown = |epoch: &EpochMetrics| {
        let is_best = best.is_some_and(|best| best.epoch == epoch.epoch);
        let (style, mark) = if is_best { (Style::Strong, "*") } else { (Style::Plain, "") };
        (style, format!("{}:{:.1}{mark} ", epoch.epoch, 100.0 * epoch.accuracy))
    };
    let mut parts: Line = validations.iter().map(shown).collect();
    while length(&line) + length(&parts) > width && parts.len() > 1 {
        parts.remove(0);
    }
    line.extend(parts);
    line
}

fn name(name: &str) -> (Style, String) {
    (Style::Name, format!("{name} "))
}

fn number(text: String) -> (Style, String) {
    (Style::Plain, format!("{text}  "))
}

/// In characters, each of which is one column wide.
fn length(line: &Line) -> usize {
    line.iter().map(|(_, text)| text.chars().count()).sum()
}

/// The line cut to the width, with its looks as escape sequences where colours are wanted.
fn painted(line: Line, width: usize, colours: bool) -> String {
    let (mut room, mut text) = (width, String::new());
    for (style, part) in line {
        let part: String = part.chars().take(room).collect();
        room -= part.chars().count();
        text += &match (colours, style) {
            (true, Style::Name) => format!("\x1b[2m{part}\x1b[0m"),
            (true, Style::Strong) => format!("\x1b[36m{part}\x1b[0m"),
            _ => part,
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use adamole::train::TrainEvent;

    fn step(step: usize, routed: bool) -> TrainEvent {
        TrainEvent::Step(StepMetrics {
            step,
            epoch: 1 + step / 10,
            task_loss: 1.0 / (step + 1) as f64,
            balance_loss: routed.then_some(8.0),
            gradient_norm: 0.5,
            learning_rate: 1e-4,
            mean_active_experts: routed.then_some(3.25),
            mean_threshold: routed.then_some(0.0625),
            expert_load: if routed { vec![0.25, 0.5, 0.25, 0.0] } else { Vec::new() },
            tokens: 100,
            operations: 1e9,
            seconds: 0.1,
            tokens_per_second: 1000.0,
        })
    }

    fn epoch(epoch: usize, accuracy: f64, best: bool) -> TrainEvent {
        TrainEvent::Epoch(EpochMetrics {
            epoch,
            accuracy,
            choice_loss: 0.5,
            task_loss: None,
            balance_loss: None,
            mean_active_experts: None,
            best,
            diverged: false,
            seconds: 1.0,
        })
    }

    /// Halfway through the second of two epochs of ten steps.
    fn state(routed: bool) -> State {
        let mut state = State::default();
        let (trainable_parameters, parameters, validation_share) = (1, 2, 0.1);
        state.observe(&TrainEvent::Start {
            steps: 20,
            validations: 3,
            trainable_parameters,
            parameters,
            validation_share,
        });
        assert!(lines(&state, 0.0, 80, false).is_empty());
        let first = [epoch(0, 0.5, false)].into_iter().chain((0..10).map(|index| step(index, routed)));
        let second = [epoch(1, 0.625, true)].into_iter().chain((10..15).map(|index| step(index, routed)));
        first.chain(second).for_each(|event| state.observe(&event));
        state
    }

    #[test]
    fn a_view_says_where_a_run_is() {
        // 2 of 3 validations at 10 % each and 15 of 20 steps at 3.5 %: 72.5 % are done.
        assert_eq!(
            lines(&state(true), 80.0, 79, false),
            [
                "█████████████████░░░░░░░ step 15 of 20, epoch 2 of 2, 30 s left",
                "task loss 0.0667  balance 8.000  █▅▄▃▃▂▂▂▁▁▁▁▁▁▁",
                "gradient norm 0.500  rate 1.00e-4  tokens/s 1000  ",
                "experts 3.25  threshold 0.0625  load ▄█▄▁  (even ▄) ",
                "accuracy best 62.5 % in epoch 1  0:50.0 1:62.5* ",
            ]
        );
        assert_eq!(lines(&state(false), 80.0, 79, false).len(), 4, "a plain LoRA has no line of experts");
    }

    #[test]
    fn lines_are_cut_to_the_width_and_the_best_stays() {
        let mut state = state(true);
        for later in 2..40 {
            state.observe(&epoch(later, 0.5, false));
        }
        for width in [0, 7, 40, 64] {
            let found = lines(&state, 72.5, width, false);
            assert!(found.iter().all(|line| line.chars().count() <= width), "{width}: {found:?}");
        }
        let last = lines(&state, 72.5, 64, false).pop().unwrap();
        assert_eq!(last, "accuracy best 62.5 % in epoch 1  37:50.0 38:50.0 39:50.0 ");
        let painted = lines(&state, 72.5, 64, true).concat();
        assert!(painted.contains("\x1b[2mtask loss \x1b[0m") && painted.contains("\x1b[36mbest 62.5 %"), "{painted:?}");
    }

    #[test]
    fn time_left_of_a_resumed_run_is_of_what_this_process_did() {
        let mut state = State::default();
        let (trainable_parameters, parameters, validation_share) = (1, 2, 0.0);
        state.observe(&TrainEvent::Start {
            steps: 20,
            validations: 3,
            trainable_parameters,
            parameters,
            validation_share,
        });
        state.observe(&step(15, true));
        assert!((state.seconds_left(3.0).unwrap() - 12.0).abs() < 1e-9);
    }
}
