//! A run's progress on stderr: on a terminal a view that is redrawn in place, below the lines that stay; elsewhere a
//! line now and then.

mod sparkline;
mod state;
mod view;

use super::output::{duration, percent};
use adamole::train::{Collapse, EpochMetrics, StepMetrics, TrainEvent};
use state::State;
use std::{
    env,
    fmt::Write as _,
    io::{IsTerminal, Write as _, stderr},
    time::{Duration, Instant},
};
use terminal_size::terminal_size_of;

/// Between lines where stderr is no terminal.
const QUIET: Duration = Duration::from_secs(20);
/// Between two drawings where it is one.
const REDRAWN: Duration = Duration::from_millis(125);
/// Of a terminal that does not say how wide it is.
const WIDTH: usize = 80;

/// Active experts per token and linear, as a mean, of an adapter that does next to nothing.
const HARDLY: f64 = 0.01;

/// Follows a run by its events.
pub(crate) struct Progress {
    state: State,
    started: Instant,
    last: Instant,
    terminal: bool,
    colours: bool,
    /// Lines of the view that are on the terminal, above the cursor.
    drawn: usize,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            state: State::default(),
            started: now,
            last: now,
            // A dumb terminal has no cursor to move.
            terminal: stderr().is_terminal() && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb"),
            colours: !is_set("NO_COLOR"),
            drawn: 0,
        }
    }

    pub(crate) fn observe(&mut self, event: &TrainEvent) {
        self.state.observe(event);
        for line in lasting(event).into_iter().chain(warnings(event)) {
            self.keep(&line);
        }
        if let TrainEvent::Step(step) = event {
            let due = if self.terminal { REDRAWN } else { QUIET };
            if self.last.elapsed() >= due {
                self.last = Instant::now();
                if self.terminal { self.draw("") } else { self.keep(&self.step_line(step)) }
            }
        }
    }

    /// A line that stays.
    fn keep(&mut self, line: &str) {
        if self.terminal { self.draw(line) } else { drop(writeln!(stderr(), "{line}")) }
    }

    /// Writes a line that stays, if it is not empty, and the view below it, over what was drawn before.
    fn draw(&mut self, line: &str) {
        let width = terminal_size_of(stderr()).map_or(WIDTH, |(width, _)| usize::from(width.0));
        // The last column is left free: some terminals wrap when it is written.
        let view = view::lines(&self.state, self.seconds(), width.saturating_sub(1), self.colours);
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        for line in Some(line).filter(|line| !line.is_empty()).into_iter().chain(view.iter().map(String::as_str)) {
            let _ = write!(text, "\r{line}\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = view.len();
        // At once, so that nothing half drawn is seen.
        let _ = stderr().write_all(text.as_bytes());
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    fn step_line(&self, step: &StepMetrics) -> String {
        let left = self.state.seconds_left(self.seconds());
        let left = left.map(|left| format!(", {} left", duration(left))).unwrap_or_default();
        let balance = step.balance_loss.map(|loss| format!(", balance {loss:.2}")).unwrap_or_default();
        let active = step.mean_active_experts.map(|mean| format!(", {mean:.2} experts")).unwrap_or_default();
        let threshold = step.mean_threshold.map(|mean| format!(" above {mean:.3}")).unwrap_or_default();
        format!(
            "step {} of {}, epoch {}: loss {:.4}{balance}{active}{threshold}, norm {:.2}, rate {:.1e}, \
             {:.0} tokens/s{left}",
            step.step + 1,
            self.state.steps,
            step.epoch,
            step.task_loss,
            step.gradient_norm,
            step.learning_rate,
            step.tokens_per_second,
        )
    }
}

/// What is to be said of a validation that shows that nothing is learnt.
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

/// The line that is kept of an event, if there is one.
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
                Some(expert) => format!("expert {expert} takes all of {}", site.linear),
                None => format!("no expert of {} fires", site.linear),
            };
            let more = if sites.len() > 1 { format!(", and {} more alike", sites.len() - 1) } else { String::new() };
            format!("warning: {}{more}", sites.first().map(what).unwrap_or_default())
        }
        TrainEvent::Epoch(EpochMetrics { epoch, accuracy, task_loss, mean_active_experts, best, .. }) => {
            let loss = task_loss.map(|loss| format!(", task loss {loss:.4}")).unwrap_or_default();
            let active = mean_active_experts.map(|mean| format!(", {mean:.2} experts active")).unwrap_or_default();
            let best = if *best { ", best so far" } else { "" };
            format!("epoch {epoch}: accuracy {}{loss}{active}{best}", percent(*accuracy))
        }
    })
}
