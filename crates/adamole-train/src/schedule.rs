//! Learning rate schedules.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The course of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// It stays, as in the reference implementation.
    #[default]
    Constant,
    /// It falls along a straight line.
    Linear,
    /// It falls along half a cosine.
    Cosine,
}

/// The learning rate as a function of the step: `peak * min(1, step / warmup_steps)`, then the decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Schedule {
    /// Rate after the warm-up.
    pub(crate) peak: f64,
    /// Steps of linear warm-up.
    pub(crate) warmup_steps: usize,
    /// Whether the first step has rate 0, as in the reference implementation. Otherwise it has the first part of the peak, and
    /// the last step of the warm-up has all of it.
    pub(crate) starts_at_zero: bool,
    /// The course after the warm-up.
    pub(crate) decay: Decay,
    /// The step at which the decay ends.
    pub(crate) end: usize,
    /// What the rate falls to, as a share of the peak.
    pub(crate) floor: f64,
}

impl Schedule {
    /// The rate of `step`, counted from 0.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        // The reference implementation divides by at least 1, so that without a warm-up the first step has rate 0 all the same.
        let (done, warmup) = match self.starts_at_zero {
            true => (step, self.warmup_steps.max(1)),
            false => (step + 1, self.warmup_steps),
        };
        if done < warmup {
            return self.peak * done as f64 / warmup as f64;
        }
        let length = self.end.saturating_sub(warmup).max(1);
        let progress = ((done - warmup) as f64 / length as f64).min(1.0);
        let left = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - progress,
            Decay::Cosine => (1.0 + (PI * progress).cos()) / 2.0,
        };
        self.peak * (self.floor + (1.0 - self.floor) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSTANT: Schedule =
        Schedule { peak: 1.0, warmup_steps: 4, starts_at_zero: true, decay: Decay::Constant, end: 104, floor: 0.0 };

    #[test]
    fn the_rate_of_the_reference_rises_from_zero_then_stays() {
        assert_eq!([0, 1, 4, 900].map(|step| CONSTANT.rate(step)), [0.0, 0.25, 1.0, 1.0]);
        let none = Schedule { warmup_steps: 0, ..CONSTANT };
        assert_eq!([0, 1].map(|step| none.rate(step)), [0.0, 1.0]);
    }

    #[test]
    fn the_usual_rate_starts_with_a_part_of_the_peak() {
        let usual = Schedule { starts_at_zero: false, ..CONSTANT };
        assert_eq!([0, 1, 3, 900].map(|step| usual.rate(step)), [0.25, 0.5, 1.0, 1.0]);
        assert_eq!(Schedule { warmup_steps: 0, ..usual }.rate(0), 1.0);
    }

    #[test]
    fn decays_end_at_their_floor() {
        let linear = Schedule { decay: Decay::Linear, ..CONSTANT };
        assert_eq!([4, 54, 104, 500].map(|step| linear.rate(step)), [1.0, 0.5, 0.0, 0.0]);
        let cosine = Schedule { peak: 2.0, decay: Decay::Cosine, floor: 0.1, ..CONSTANT };
        assert_eq!(cosine.rate(4), 2.0);
        assert!((cosine.rate(54) - 1.1).abs() < 1e-12);
        assert!((cosine.rate(104) - 0.2).abs() < 1e-12 && (cosine.rate(500) - 0.2).abs() < 1e-12);
    }
}
