//! Progress of a training run on stderr: on a terminal a bar below the lines that stay, elsewhere a line now and then.

use super::output::{duration, percent};
use adamole::train::{Collapse, EpochMetrics, Score, StepMetrics, TrainEvent};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    env,
    time::{Duration, Instant},
};

/// Between lines where stderr is not a terminal.
const QUIET: Duration = Duration::from_secs(20);

/// Drawings a second on a terminal.
const REDRAWN: u8 = 8;

/// Parts that the bar divides the work into.
const PARTS: f64 = 10_000.0;

/// Mean number of active experts per token and linear of an adapter that does next to nothing.
const HARDLY: f64 = 0.01;

/// Shows the events of a run.
pub(crate) struct Progress {
    work: Work,
    started: Instant,
    last_line: Instant,
    /// Hidden where stderr is not a terminal.
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        // A dumb terminal has no cursor to move.
        let target = match env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr_with_hz(REDRAWN),
        };
        let style = ProgressStyle::with_template("{bar:24.cyan} {wide_msg}\n{prefix}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(PARTS as u64), target).with_style(style);
        Self { work: Work::default(), started: Instant::now(), last_line: Instant::now(), bar }
    }

    /// Removes the bar from the terminal, as dropping this does.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    pub(crate) fn observe(&mut self, event: &TrainEvent) {
        self.work.observe(event);
        let place = self.work.place(self.started.elapsed().as_secs_f64());
        self.bar.set_message(place.clone());
        self.bar.set_position((self.work.done() * PARTS) as u64);
        for line in lasting(event).into_iter().chain(warnings(event)) {
            self.bar.suspend(|| say!("{line}"));
        }
        let TrainEvent::Step(step) = event else { return };
        self.bar.set_prefix(numbers(step));
        if self.bar.is_hidden() && self.last_line.elapsed() >= QUIET {
            self.last_line = Instant::now();
            say!("{place}: {}", numbers(step));
        }
    }
}

/// The work of a run that is done.
#[derive(Default)]
struct Work {
    steps: usize,
    epochs: usize,
    /// Optimizer steps that are done, and the epoch of the last one.
    step: usize,
    epoch: usize,
    /// Share of the work of the whole run that one validation is.
    validation_share: f64,
    /// Share of the work that is done, and that was done when this process continued the run.
    done: f64,
    done_before: Option<f64>,
}

impl Work {
    fn observe(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Start { steps, validations, validation_share, .. } => {
                (self.steps, self.epochs) = (*steps, validations.saturating_sub(1));
                self.validation_share = *validation_share;
            }
            TrainEvent::Step(step) => {
                (self.step, self.epoch) = (step.step + 1, step.epoch);
                // Epoch e begins after e validations: the first is of the model before training.
                self.advance((step.step, step.epoch), (step.step + 1, step.epoch));
            }
            TrainEvent::Epoch(epoch) => {
                let steps = self.steps * epoch.epoch / self.epochs.max(1);
                self.advance((steps, epoch.epoch), (steps, epoch.epoch + 1));
            }
            TrainEvent::Skipped { .. } | TrainEvent::Collapsed { .. } => {}
        }
    }

    /// From so many steps and validations to so many.
    fn advance(&mut self, before: (usize, usize), after: (usize, usize)) {
        let steps_share = 1.0 - self.validation_share * (self.epochs + 1) as f64;
        let per_step = steps_share / self.steps.max(1) as f64;
        let share = |(steps, validations)| self.validation_share * validations as f64 + per_step * steps as f64;
        let (before, after) = (share(before), share(after));
        self.done_before.get_or_insert(before);
        self.done = after;
    }

    fn done(&self) -> f64 {
        self.done.clamp(0.0, 1.0)
    }

    /// Estimated from what this process did in so many seconds; `None` before there is enough to tell, and at the end.
    fn seconds_left(&self, seconds: f64) -> Option<f64> {
        let here = self.done() - self.done_before?;
        (here > 0.01 && self.done() < 1.0).then(|| seconds * (1.0 - self.done()) / here)
    }

    fn place(&self, seconds: f64) -> String {
        let left = self.seconds_left(seconds).map(|left| format!(", {} left", duration(left))).unwrap_or_default();
        let (step, steps, epoch, epochs) = (self.step, self.steps, self.epoch.max(1), self.epochs);
        format!("step {step} of {steps}, epoch {epoch} of {epochs}{left}")
    }
}

/// The metrics of a step.
fn numbers(step: &StepMetrics) -> String {
    let balance = step.balance_loss.map(|loss| format!(", load balancing loss {loss:.2}")).unwrap_or_default();
    let active = step.mean_active_experts.map(|mean| format!(", {mean:.2} active experts")).unwrap_or_default();
    let threshold = step.mean_threshold.map(|mean| format!(" above {mean:.3}")).unwrap_or_default();
    let StepMetrics { task_loss, gradient_norm, learning_rate, tokens_per_second, .. } = step;
    format!(
        "loss {task_loss:.4}{balance}{active}{threshold}, gradient norm {gradient_norm:.2}, learning rate \
         {learning_rate:.1e}, {tokens_per_second:.0} tokens/s"
    )
}

/// Warnings about a validation after which nothing can be learnt.
fn warnings(event: &TrainEvent) -> Vec<String> {
    let TrainEvent::Epoch(EpochMetrics { epoch, task_loss, mean_active_experts, diverged, .. }) = event else {
        return Vec::new();
    };
    let when = if *epoch == 0 { "before training".into() } else { format!("after epoch {epoch}") };
    let inactive = mean_active_experts.filter(|mean| *mean < HARDLY).map(|mean| match mean {
        0.0 => format!("warning: {when} no expert is active for any token: the adapter does nothing, nor can it learn"),
        _ => format!("warning: {when} hardly any token has an active expert: {mean:.4} a linear on average"),
    });
    let diverged = diverged.then(|| {
        let loss = task_loss.unwrap_or(f64::NAN);
        format!(
            "warning: the run has diverged: the task loss of epoch {epoch}, {loss:.4}, is nearer to that of a uniform \
             guess over the vocabulary than to that of the first step"
        )
    });
    inactive.into_iter().chain(diverged).collect()
}

/// The line of an event that stays, if there is one.
fn lasting(event: &TrainEvent) -> Option<String> {
    Some(match event {
        TrainEvent::Step(_) => return None,
        TrainEvent::Start { steps, trainable_parameters, parameters, .. } => {
            let share = percent(*trainable_parameters as f64 / *parameters as f64);
            format!("{trainable_parameters} of {parameters} parameters train ({share}), {steps} steps")
        }
        TrainEvent::Skipped { step, what } => {
            format!("warning: step {} was skipped: its {what} is not finite", step + 1)
        }
        TrainEvent::Collapsed { sites, .. } => {
            let what = |site: &Collapse| match site.expert {
                Some(expert) => format!("expert {expert} is the only active one of {}", site.linear),
                None => format!("no expert of {} is active", site.linear),
            };
            let more = if sites.len() > 1 { format!(", and {} more alike", sites.len() - 1) } else { String::new() };
            format!("warning: {}{more}", sites.first().map(what).unwrap_or_default())
        }
        TrainEvent::Epoch(EpochMetrics { epoch, score, task_loss, mean_active_experts, best, .. }) => {
            let loss = task_loss.map(|loss| format!(", task loss {loss:.4}")).unwrap_or_default();
            let active = mean_active_experts.map(|mean| format!(", {mean:.2} active experts")).unwrap_or_default();
            let best = if *best { ", best so far" } else { "" };
            let score = match score {
                Score::Choices { accuracy, .. } => format!("accuracy {}", percent(*accuracy)),
                Score::Texts { validation_loss, perplexity } => {
                    format!("validation loss {validation_loss:.4}, perplexity {perplexity:.3}")
                }
            };
            format!("epoch {epoch}: {score}{loss}{active}{best}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: usize, routed: bool) -> TrainEvent {
        TrainEvent::Step(StepMetrics {
            step,
            epoch: 1 + step / 10,
            task_loss: 0.0625,
            balance_loss: routed.then_some(8.0),
            balance_coefficient: None,
            gradient_norm: 0.5,
            learning_rate: 1e-4,
            mean_active_experts: routed.then_some(3.25),
            mean_threshold: routed.then_some(0.0625),
            expert_load: Vec::new(),
            tokens: 100,
            operations: 1e9,
            seconds: 0.1,
            tokens_per_second: 1000.0,
        })
    }

    fn epoch(epoch: usize) -> TrainEvent {
        let (score, best, diverged, seconds) = (Score::Choices { accuracy: 0.5, choice_loss: 0.5 }, false, false, 1.0);
        let (task_loss, balance_loss, mean_active_experts) = (None, None, None);
        TrainEvent::Epoch(EpochMetrics {
            epoch,
            score,
            task_loss,
            balance_loss,
            mean_active_experts,
            best,
            diverged,
            seconds,
        })
    }

    /// Of two epochs of ten steps.
    fn start(validation_share: f64) -> TrainEvent {
        TrainEvent::Start { steps: 20, validations: 3, trainable_parameters: 1, parameters: 2, validation_share }
    }

    #[test]
    fn a_run_says_where_it_is() {
        let mut work = Work::default();
        let first = [start(0.1), epoch(0)].into_iter().chain((0..10).map(|index| step(index, true)));
        let second = [epoch(1)].into_iter().chain((10..15).map(|index| step(index, true)));
        first.chain(second).for_each(|event| work.observe(&event));
        // 2 of 3 validations at 10 % each and 15 of 20 steps at 3.5 %: 72.5 % are done.
        assert_eq!(work.place(80.0), "step 15 of 20, epoch 2 of 2, 30 s left");
        let metrics = |routed| match step(0, routed) {
            TrainEvent::Step(step) => numbers(&step),
            _ => String::new(),
        };
        let rest = "gradient norm 0.50, learning rate 1.0e-4, 1000 tokens/s";
        let routed = "load balancing loss 8.00, 3.25 active experts above 0.062";
        assert_eq!(metrics(true), format!("loss 0.0625, {routed}, {rest}"));
        assert_eq!(metrics(false), format!("loss 0.0625, {rest}"));
    }

    #[test]
    fn time_left_of_a_resumed_run_is_of_what_this_process_did() {
        let mut work = Work::default();
        [start(0.0), step(15, true)].iter().for_each(|event| work.observe(event));
        assert!((work.seconds_left(3.0).unwrap() - 12.0).abs() < 1e-9);
    }
}
