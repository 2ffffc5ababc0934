//! The types of the frozen weights.

use super::settings::Flags;
use adamole::{
    core::settings,
    llama::{AdapterProducts, Precision, Quantization, WeightTypes},
};

settings! {
    /// The types of the frozen weights.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Weights {
        /// Type of the frozen weights.
        pub(crate) dtype: Precision = Precision::Float32, common;
        /// Keep the weights of the frozen linears in 8 or 4 bits.
        pub(crate) quantize: Option<Quantization> = None, shown("none");
        /// Type of the operands where adapters meet a base of 16 bits on a GPU: that of a bfloat16 base (mixed), float32, or that of
        /// any base (narrow). Parameters and sums are float32 in either case. With float32, no product of float32 uses tensor cores
        /// that would round its operands to TF32.
        pub(crate) adapter_products: AdapterProducts = AdapterProducts::Mixed;
    }
}

pub(crate) type WeightFlags = Flags<Weights>;

/// The precision of products becomes the choice of the process.
impl From<WeightFlags> for WeightTypes {
    fn from(Flags(weights): WeightFlags) -> Self {
        weights.adapter_products.choose();
        Self { precision: weights.dtype, quantization: weights.quantize }
    }
}
