//! A router of one's own over LoRA experts, for modules that need neither settings nor files of models.

use super::{Method, MethodKind, MethodSettings};
use crate::{NumExperts, SettingError, router::Router};
use std::fmt::Debug;

/// N LoRA experts and a gate, with any [`Router`].
///
/// That is all a Burn module needs. Settings, adapter folders and the program know methods by name: for those a type
/// implements [`Method`], and is registered by [`MethodKind::register`]. Two of these are the same method where their routers
/// print the same with `Debug`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Routed<R> {
    /// N.
    pub num_experts: NumExperts,
    /// The router.
    pub router: R,
}

impl Routed<()> {
    /// The description that all of them have. It is not one of [`METHODS`](super::METHODS).
    const KIND: MethodKind = MethodKind {
        name: "routed",
        help: "Experts with a router of one's own",
        peft_type: "ROUTED",
        settings: &[MethodSettings::NUM_EXPERTS],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |_| {
            Err(SettingError::invalid("method", "routed", "one whose router has a name: a type that is a Method"))
        },
    };
}

impl<R: Router + Clone + 'static> Routed<R> {
    /// N experts with this router.
    ///
    /// # Errors
    /// There is no expert.
    pub fn new(num_experts: usize, router: R) -> Result<Self, SettingError> {
        Ok(Self { num_experts: num_experts.try_into()?, router })
    }
}

impl<R: Router + 'static> Method for Routed<R> {
    fn kind(&self) -> &'static MethodKind {
        &Routed::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new().with("num_experts", self.num_experts.get()).with("router", format!("{:?}", self.router))
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(&self.router)
    }
}
