//! LoRA: one low-rank pair (Hu et al. 2021).

use super::{Method, MethodKind, MethodSettings};
use crate::{AdapterShape, ParameterSpec};
use std::sync::Arc;

/// One low-rank pair that acts on every token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lora;

impl Lora {
    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "lora",
        help: "One low-rank pair",
        peft_type: "LORA",
        settings: &[],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |_| Ok(Arc::new(Self)),
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
