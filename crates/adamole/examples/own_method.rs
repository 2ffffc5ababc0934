//! A program of one's own: all of `adamole` with one method more.
//!
//! The method describes itself; flags, configuration keys, fields and tensors of adapter folders, checkpoints and help follow.
//! A program in which it is not registered refuses its adapters by name.
//!
//! ```sh
//! cargo run --release --example own_method -- train --model datasets/base --benchmark cb --data datasets \
//!     --method sharpened --power 3 --output runs/sharpened
//! cargo run --release --example own_method -- inspect runs/sharpened --model datasets/base --text "It rains."
//! ```

use adamole::core::{
    Method, MethodKind, MethodSettings, NumExperts, Setting, SettingError,
    router::{Router, RouterInput, Routing},
};
use std::{process::ExitCode, sync::Arc};

/// All experts act, with weights proportional to `p^power`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sharpened {
    num_experts: NumExperts,
    power: f32,
}

impl Sharpened {
    const POWER: Setting = Setting::new::<f32>("power", "Power of the gate's probabilities.", "2");

    /// What is known of the method before its settings are.
    const KIND: MethodKind = MethodKind {
        name: "sharpened",
        help: "All experts, with sharpened probabilities",
        peft_type: "SHARPENED",
        settings: &[MethodSettings::NUM_EXPERTS, Self::POWER],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            let power: f32 = settings.required::<f32, _>(&Self::POWER)?;
            if !(power.is_finite() && power > 0.0) {
                return Err(SettingError::invalid("power", power, "a number above 0"));
            }
            let num_experts = settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?;
            Ok(Arc::new(Self { num_experts, power }))
        },
    };
}

impl Method for Sharpened {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new().with("num_experts", self.num_experts.get()).with("power", self.power)
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }
    // Its parameters are those of any mixture: A, B and a gate.
}

impl Router for Sharpened {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.scores();
        let sharpened = scores.probabilities().powf_scalar(self.power);
        let weights = sharpened.clone() / sharpened.sum_dim(1);
        Routing { weights, ..Routing::of_all(scores) }
    }
}

fn main() -> ExitCode {
    adamole::program::run_with(&[&Sharpened::KIND])
}
