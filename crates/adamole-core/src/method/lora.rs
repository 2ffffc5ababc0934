//! LoRA: one low-rank pair (Hu et al. 2021), and its rank-stabilised scale (Kalajdzievski 2023).

use super::{Method, MethodKind, MethodSettings};
use crate::{AdapterShape, ParameterSpec, Setting};
use std::sync::Arc;

/// One low-rank pair that acts on every token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lora;

/// [`Lora`] with the scale alpha / sqrt(r): the setting `use_rslora`, as PEFT calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankStabilisedLora;

impl Lora {
    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "lora",
        help: "One low-rank pair",
        peft_type: "LORA",
        settings: &[Setting::new::<bool>(
            "use_rslora",
            "Whether the scale is alpha / sqrt(rank) (rank-stabilised LoRA) in place of alpha / rank.",
            "false",
        )],
        one_of: &[],
        file_keys: &[],
        file_extensions: &["use_rslora"],
        build: |settings| match settings.read::<bool, bool>("use_rslora")? {
            Some(true) => Ok(Arc::new(RankStabilisedLora)),
            _ => Ok(Arc::new(Self)),
        },
    };
}

impl Method for Lora {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new()
    }

    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        // Files hold the only pair without a number.
        let whole = |spec: ParameterSpec| ParameterSpec { key: spec.key.replace(".{}", ""), experts: None, ..spec };
        ParameterSpec::experts(shape, 1).into_iter().map(whole).collect()
    }
}

impl Method for RankStabilisedLora {
    fn kind(&self) -> &'static MethodKind {
        &Lora::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new().with("use_rslora", true)
    }

    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        Lora.parameters(shape)
    }

    fn scale_divisor(&self, rank: usize) -> f64 {
        (rank as f64).sqrt()
    }
}
