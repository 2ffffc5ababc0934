//! Ways of adapting a linear. A method is one file here and one line in [`METHODS`]: its settings, its parameters, its
//! router and its losses. One of another crate is a type there, and a call of [`MethodKind::register`].

mod adamole;
mod comol;
mod dynmole;
mod flylora;
mod goat;
mod hydralora;
mod ldmole;
mod lora;
mod mixlora;
mod mole;
mod registry;
mod remole;
mod routed;
mod settings;
mod sira;

pub use adamole::AdaMole;
pub use comol::CoMol;
pub use dynmole::{DynMole, EntropyType};
pub use flylora::{FlyLora, FlyLoraVariant};
pub use goat::{Goat, GoatStart};
pub use hydralora::HydraLora;
pub use ldmole::LdMole;
pub use lora::{Lora, RankStabilisedLora};
pub use mixlora::{MixLora, MixLoraPart};
pub use mole::{Mole, Selection};
pub use registry::RegistrationError;
pub use remole::ReMole;
pub use routed::Routed;
pub use settings::MethodSettings;
pub use sira::Sira;

use crate::{
    Adapter, AdapterConfig, AdapterShape, ForwardContext, ParameterSpec, Setting, SettingError, router::Router,
};
use burn::tensor::{Tensor, TensorData};
use std::{fmt::Debug, sync::Arc};

/// The methods of this crate. Settings and adapter files can name these and those that are registered:
/// [`MethodKind::all`].
pub static METHODS: &[&MethodKind] = &[
    &Lora::KIND,
    &Mole::KIND,
    &AdaMole::KIND,
    &Sira::KIND,
    &HydraLora::KIND,
    &LdMole::KIND,
    &DynMole::KIND,
    &ReMole::KIND,
    &CoMol::KIND,
    &FlyLora::KIND,
    &Goat::KIND,
    &MixLora::KIND,
];

/// A method before its settings are known.
#[derive(Debug)]
pub struct MethodKind {
    /// Its name in settings: `adamole`.
    pub name: &'static str,
    /// What it is, in a line.
    pub help: &'static str,
    /// Its `peft_type` in adapter files.
    pub peft_type: &'static str,
    /// Its own settings, [`MethodSettings::NUM_EXPERTS`] first where it has several experts.
    pub settings: &'static [Setting],
    /// Settings of which only one can be given, and one has to be in adapter files.
    pub one_of: &'static [&'static str],
    /// Settings with another name in adapter files: the name here, the name there.
    pub file_keys: &'static [(&'static str, &'static str)],
    /// Settings that the reference implementation's files do not know: left out of files where they have no value.
    pub file_extensions: &'static [&'static str],
    /// Makes the method from its settings, those of one layer. A setting that is absent is left to the method.
    pub build: fn(&MethodSettings) -> Result<Arc<dyn Method>, SettingError>,
}

impl MethodKind {
    /// The method of this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::all().find(|kind| kind.name == name)
    }

    /// The method with this `peft_type`.
    pub fn by_peft_type(peft_type: &str) -> Option<&'static Self> {
        Self::all().find(|kind| kind.peft_type == peft_type)
    }

    /// The setting of this name.
    pub fn setting(&self, name: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// The name of a setting in adapter files.
    pub fn file_key(&self, setting: &'static str) -> &'static str {
        self.file_keys.iter().find(|(name, _)| *name == setting).map_or(setting, |(_, key)| key)
    }
}

/// A method with its settings.
pub trait Method: Debug + Send + Sync {
    /// Which method it is.
    fn kind(&self) -> &'static MethodKind;

    /// Its settings by the names of [`MethodKind::settings`]; those that have no value are left out.
    fn settings(&self) -> MethodSettings;

    /// The part of the method that is on the linear `target` of a layer of which `targets` are adapted; `None` where all
    /// linears are alike.
    ///
    /// # Errors
    /// The method cannot be on these linears.
    fn on(&self, _target: &str, _targets: &[&str]) -> Result<Option<Arc<dyn Method>>, SettingError> {
        Ok(None)
    }

    /// N; 1 for a plain LoRA.
    fn num_experts(&self) -> usize {
        1
    }

    /// How many experts a token activates, of a method whose experts are whole feed-forward blocks; see
    /// [`RoutedBlock`](crate::RoutedBlock).
    fn block_choices(&self) -> Option<usize> {
        None
    }

    /// What decides which experts act; `None` where all of the adapter acts on every token.
    fn router(&self) -> Option<&dyn Router> {
        None
    }

    /// The adapter's parameters. `a` and `b` are among them: what the method computes from the input goes through
    /// `b`, `[d_out, K]`, unless [`Method::outer`] says otherwise. They draw their initial values in this order.
    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        match self.router() {
            Some(_) => ParameterSpec::mixture(shape, self.num_experts()),
            None => ParameterSpec::experts(shape, self.num_experts()),
        }
    }

    /// The parameters whose rows share one product with the input, `[T, d_in]` to `[T, N ..]`: the gate, and what goes
    /// with it.
    fn gate_parameters(&self) -> &'static [&'static str] {
        &["gate"]
    }

    /// What an adapter's settings ought to be on a linear of this shape, where they cannot be what they are.
    fn unfit(&self, _shape: AdapterShape) -> Option<String> {
        None
    }

    /// The values of parameters that start from the frozen weights, `[d_out, d_in]`, by their names; the others start as
    /// [`Method::parameters`] says.
    fn start(&self, _config: &AdapterConfig, _weight: &Tensor<2>) -> Vec<(&'static str, TensorData)> {
        Vec::new()
    }

    /// What takes the result of [`Method::inner`] to the output, `[d_out, K]`.
    fn outer(&self, adapter: &Adapter) -> Tensor<2> {
        adapter.b()
    }

    /// What [`Method::outer`] takes to the output: `[T, d_in]` to `[T, K]`.
    fn inner(&self, adapter: &Adapter, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        adapter.weighted_experts(x, context)
    }

    /// What alpha is divided by to give the scale of experts of this rank.
    fn scale_divisor(&self, rank: usize) -> f64 {
        rank as f64
    }

    /// The scale of experts of this rank on a linear with so many inputs, where alpha does not give it.
    fn fixed_scale(&self, _rank: usize, _d_in: usize) -> Option<f64> {
        None
    }

    /// How often a token is multiplied with a parameter.
    fn times_met(&self, _parameter: &ParameterSpec) -> usize {
        1
    }

    /// About how many numbers wait for the backward pass, for a token on a linear of this shape: products with A and the
    /// gate, their parts, what the router makes of them, and the mixture.
    fn kept_for_a_token(&self, AdapterShape { rank, .. }: AdapterShape) -> usize {
        3 * self.num_experts() * rank + 10 * self.num_experts()
    }

    /// The weight of the auxiliary loss by default, as a multiple of the paper's 1e-3.
    fn auxiliary_loss_scale(&self) -> f32 {
        1.0
    }

    /// Why no expert is active under these settings, if that is so.
    fn never_active(&self) -> Option<String> {
        None
    }
}

impl PartialEq for dyn Method {
    fn eq(&self, other: &Self) -> bool {
        self.kind().name == other.kind().name && self.settings() == other.settings()
    }
}
