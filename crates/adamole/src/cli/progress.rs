//! A run's progress on stderr: a line that is rewritten on a terminal, a line now and then elsewhere.

use super::output::{duration, percent};
use adamole::train::{Collapse, StepMetrics, TrainEvent};
use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// Between lines where stderr is no terminal.
const QUIET: Duration = Duration::from_secs(20);

/// Follows a run by its events.
pub(crate) struct Progress {
    started: Instant,
    last_line: Instant,
    terminal: bool,
    steps: usize,
    validation_share: f64,
    validations_in_all: usize,
    validations: usize,
    steps_done: usize,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            last_line: now,
            terminal: stderr().is_terminal(),
            steps: 0,
            validation_share: 0.0,
            validations_in_all: 0,
            validations: 0,
            steps_done: 0,
        }
    }

    pub(crate) fn observe(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Start { steps, validations, trainable_parameters, parameters, validation_share } => {
                (self.steps, self.validations_in_all) = (*steps, *validations);
                self.validation_share = *validation_share;
                let share = percent(*trainable_parameters as f64 / *parameters as f64);
                eprintln!("{trainable_parameters} of {parameters} parameters train ({share}), {steps} steps");
            }
            TrainEvent::Step(step) => {
                self.steps_done += 1;
                if self.terminal || self.last_line.elapsed() >= QUIET {
                    self.last_line = Instant::now();
                    self.line(&self.step_line(step));
                }
            }
            TrainEvent::Skipped { step, what } => {
                self.warn(&format!("step {} was skipped: its {what} is not finite", step + 1));
            }
            TrainEvent::Collapsed { sites, .. } => {
                let what = |site: &Collapse| match site.expert {
                    Some(expert) => format!("expert {expert} takes all of {}", site.linear),
                    None => format!("no expert of {} fires", site.linear),
                };
                let more =
                    if sites.len() > 1 { format!(", and {} more alike", sites.len() - 1) } else { String::new() };
                let first = sites.first().map(what).unwrap_or_default();
                self.warn(&format!("{first}{more}"));
            }
            TrainEvent::Epoch(epoch) => {
                self.validations += 1;
                let loss = epoch.task_loss.map(|loss| format!(", task loss {loss:.4}")).unwrap_or_default();
                let active =
                    epoch.mean_active_experts.map(|mean| format!(", {mean:.2} experts active")).unwrap_or_default();
                let best = if epoch.best { ", best so far" } else { "" };
                self.line(&format!("epoch {}: accuracy {}{loss}{active}{best}", epoch.epoch, percent(epoch.accuracy)));
                if self.terminal {
                    eprintln!();
                }
            }
        }
    }

    fn step_line(&self, step: &StepMetrics) -> String {
        let speed = step.tokens_per_second;
        let left = self.seconds_left().map(|left| format!(", {} left", duration(left))).unwrap_or_default();
        let balance = step.balance_loss.map(|loss| format!(", balance {loss:.2}")).unwrap_or_default();
        let active = step.mean_active_experts.map(|mean| format!(", {mean:.2} experts")).unwrap_or_default();
        let threshold = step.mean_threshold.map(|mean| format!(" above {mean:.3}")).unwrap_or_default();
        format!(
            "step {} of {}, epoch {}: loss {:.4}{balance}{active}{threshold}, norm {:.2}, rate {:.1e}, \
             {speed:.0} tokens/s{left}",
            step.step + 1,
            self.steps,
            step.epoch,
            step.task_loss,
            step.gradient_norm,
            step.learning_rate,
        )
    }

    /// From the share of the work that is done, where a step and a validation have their measured weights.
    fn seconds_left(&self) -> Option<f64> {
        let steps_share = 1.0 - self.validation_share * self.validations_in_all as f64;
        let done = self.validation_share * self.validations as f64
            + steps_share * self.steps_done as f64 / self.steps.max(1) as f64;
        (done > 0.01).then(|| self.started.elapsed().as_secs_f64() * (1.0 - done).max(0.0) / done)
    }

    fn warn(&self, text: &str) {
        self.line(&format!("warning: {text}"));
        if self.terminal {
            eprintln!();
        }
    }

    fn line(&self, text: &str) {
        let mut stderr = stderr();
        let _ = if self.terminal { write!(stderr, "\r\x1b[K{text}") } else { writeln!(stderr, "{text}") };
    }
}
