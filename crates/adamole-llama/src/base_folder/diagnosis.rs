//! What a folder is whose tensors are not those of its config.

use super::shards::Shards;
use crate::{MismatchCause, TensorMismatch};
use safetensors::Dtype;

/// Ends of the names that programs give to the parts of a quantised tensor.
const QUANTIZED_PARTS: [(&str, &str); 9] = [
    (".qweight", "GPTQ or AWQ"),
    (".absmax", "bitsandbytes to 4 bits"),
    (".quant_map", "bitsandbytes to 4 bits"),
    (".SCB", "bitsandbytes to 8 bits"),
    (".weight_packed", "compressed-tensors"),
    (".weight_scale_inv", "FP8"),
    (".weight_scale", "FP8 or compressed-tensors"),
    (".input_scale", "FP8"),
    (".scales", "MLX"),
];

/// How another program has quantised the weights, if it has.
pub(super) fn quantized(shards: &Shards) -> Option<String> {
    let names = shards.names();
    let has = |end: &str| names.iter().any(|name| name.ends_with(end));
    if names.iter().any(|name| name.contains(".quant_state.")) {
        return Some("bitsandbytes to 4 bits".into());
    }
    if let Some((_, method)) = QUANTIZED_PARTS.iter().find(|(end, _)| has(end)) {
        return Some((*method).into());
    }
    names.iter().filter(|name| name.ends_with("_proj.weight")).find_map(|name| match shards.dtype(name)? {
        Dtype::F8_E4M3 | Dtype::F8_E5M2 => Some("FP8".into()),
        dtype @ (Dtype::U8 | Dtype::I8 | Dtype::I32 | Dtype::U32) => Some(format!("a method with {dtype:?} weights")),
        _ => None,
    })
}

/// What a file whose tensors differ so from those of its config seems to be.
pub(super) fn cause(mismatch: &TensorMismatch) -> MismatchCause {
    if mismatch.missing == ["lm_head.weight"] && mismatch.misshaped.is_empty() {
        return MismatchCause::NoHead;
    }
    let first_norm = |name: &String| Some(name.strip_suffix("layers.0.input_layernorm.weight")?.to_owned());
    if let Some(prefix) = mismatch.unexpected.iter().find_map(first_norm).filter(|prefix| prefix != "model.") {
        return MismatchCause::Prefix(prefix);
    }
    match mismatch.misshaped.is_empty() && mismatch.missing.len() < 3 {
        true => MismatchCause::Incomplete,
        false => MismatchCause::OtherModel,
    }
}
