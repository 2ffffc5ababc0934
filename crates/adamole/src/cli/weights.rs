//! The types of the frozen weights.

use super::settings::Flags;
use adamole::{
    core::settings,
    llama::{Precision, Quantization, WeightTypes},
};

settings! {
    /// The types of the frozen weights.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Weights {
        /// Type of the frozen weights.
        pub(crate) dtype: Precision = Precision::Float32, common;
        /// Keep the weights of the frozen linears in 8 or 4 bits.
        pub(crate) quantize: Option<Quantization> = None, shown("none");
    }
}

pub(crate) type WeightFlags = Flags<Weights>;

impl From<WeightFlags> for WeightTypes {
    fn from(Flags(weights): WeightFlags) -> Self {
        Self { precision: weights.dtype, quantization: weights.quantize }
    }
}
