//! How a run trains. Defaults are the paper's; where ours differ, the field says so.

use crate::{AdamWSettings, Schedule, TrainError};
use adamole_data::LabelScope;
use serde::{Deserialize, Serialize};

/// The settings of a fine-tuning run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Passes over the training data.
    pub epochs: usize,
    /// Examples per optimizer step.
    pub batch_size: usize,
    /// Examples per forward and backward pass; the auxiliary loss is computed within one.
    pub micro_batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps over which the rate rises from 0.
    pub warmup_steps: usize,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Largest norm of all gradients together; they are scaled down beyond it.
    pub max_grad_norm: f32,
    /// Weight of the auxiliary loss.
    pub balance_coefficient: f32,
    /// Which tokens are trained on. Ours is the answer's token; the published code trains on the whole text.
    pub labels: LabelScope,
    /// Seed of initialisation, order and dropout.
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 16,
            micro_batch_size: 4,
            learning_rate: 1e-4,
            warmup_steps: 200,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            balance_coefficient: 1e-3,
            labels: LabelScope::Answer,
            seed: 0,
        }
    }
}

impl Recipe {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let positive = "an integer of at least 1";
        for (name, value) in
            [("epochs", self.epochs), ("batch_size", self.batch_size), ("micro_batch_size", self.micro_batch_size)]
        {
            if value == 0 {
                return Err(TrainError::Recipe { name, value: value.to_string(), expected: positive });
            }
        }
        for (name, value, positive) in [
            ("learning_rate", self.learning_rate, true),
            ("max_grad_norm", f64::from(self.max_grad_norm), true),
            ("weight_decay", f64::from(self.weight_decay), false),
            ("balance_coefficient", f64::from(self.balance_coefficient), false),
        ] {
            if !value.is_finite() || value < 0.0 || (positive && value == 0.0) {
                let expected = if positive { "a number above 0" } else { "a number of at least 0" };
                return Err(TrainError::Recipe { name, value: value.to_string(), expected });
            }
        }
        Ok(())
    }

    /// The optimizer's part.
    pub fn optimizer(&self) -> AdamWSettings {
        AdamWSettings { weight_decay: self.weight_decay, max_grad_norm: self.max_grad_norm, ..AdamWSettings::default() }
    }

    /// The learning rate's course.
    pub fn schedule(&self) -> Schedule {
        Schedule { peak: self.learning_rate, warmup_steps: self.warmup_steps, decay_steps: None }
    }
}
