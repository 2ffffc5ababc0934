//! The types of the frozen weights, as flags.

use adamole::llama::{Precision, Quantization, WeightTypes};
use clap::Args;

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WeightFlags {
    /// Type of the frozen weights: float32, bfloat16 or float16
    #[arg(long, default_value = "float32")]
    pub(crate) dtype: Precision,
    /// Keep the frozen linears in 8 or 4 bits: int8 or int4
    #[arg(long)]
    quantize: Option<Quantization>,
}

impl From<WeightFlags> for WeightTypes {
    fn from(flags: WeightFlags) -> Self {
        Self { precision: flags.dtype, quantization: flags.quantize }
    }
}
