//! What a step leaves to report once its numbers are read.

use crate::{NotFinite, RoutingStatistics, gradient_norm::GradientNorm, step::StepNumbers};

/// What the host knows of a step that is done.
pub(crate) struct StepRecord {
    pub(crate) step: usize,
    pub(crate) learning_rate: f64,
    pub(crate) balance_coefficient: f32,
    pub(crate) tokens: usize,
    pub(crate) operations: f64,
}

/// The results of a step.
pub(crate) enum StepResults {
    /// Still on the device.
    Unread(StepNumbers, Box<GradientNorm>),
    Read(ReadResults),
}

/// Losses, routing, and the gradients' norm before clipping.
pub(crate) struct ReadResults {
    pub(crate) task_loss: f64,
    pub(crate) balance_loss: Option<f64>,
    pub(crate) routing: RoutingStatistics,
    /// Or what was not finite: such a step has changed nothing.
    pub(crate) norm: Result<f64, NotFinite>,
}

impl StepResults {
    pub(crate) fn read(self) -> ReadResults {
        match self {
            Self::Read(read) => read,
            Self::Unread(numbers, norm) => {
                let (task_loss, balance_loss, routing) = numbers.read();
                let norm = match task_loss.is_finite() {
                    true => norm.read(),
                    false => Err(NotFinite { what: "task loss".into(), value: task_loss }),
                };
                ReadResults { task_loss, balance_loss, routing, norm }
            }
        }
    }
}
