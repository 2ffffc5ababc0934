//! The tensors of a Llama in GGUF: their names, and the order of the rows of queries and keys.

use super::{container, encoding::GgufType};
use crate::{CausalLm, ModelConfig, ModelError, ParameterKind, ParameterVisitor, RotationScaling, layer_and_target};
use adamole_core::Lora;
use burn::{
    module::Param,
    tensor::{Shape, Tensor},
};
use std::path::Path;

/// The names of a layer's tensors, here and in llama.cpp.
const OF_LAYER: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// The other tensors.
const OTHERS: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
];

/// The name of a tensor in llama.cpp; `None` for one that it has no place for.
fn name(own: &str) -> Option<String> {
    if let Some((_, name)) = OTHERS.iter().find(|(other, _)| *other == own) {
        return Some((*name).to_owned());
    }
    let (layer, rest) = own.strip_prefix("model.layers.")?.split_once('.')?;
    let (module, end) = rest.rsplit_once('.')?;
    let (_, name) = OF_LAYER.iter().find(|(own, _)| *own == module)?;
    Some(format!("blk.{layer}.{name}.{end}"))
}

/// A tensor, with a vector as one column.
pub(super) struct GgufTensor {
    name: String,
    shape: Vec<usize>,
    kind: GgufType,
    values: Tensor<2>,
    /// For errors.
    path: std::path::PathBuf,
}

impl GgufTensor {
    fn new(name: String, shape: Vec<usize>, kind: GgufType, values: Tensor<2>, path: &Path) -> Self {
        let kind = kind.of_shape(&shape);
        Self { name, shape, kind, values, path: path.to_owned() }
    }
}

impl container::Tensor for GgufTensor {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn kind(&self) -> u32 {
        self.kind.kind()
    }

    fn length(&self) -> usize {
        self.kind.length(self.shape.iter().product())
    }

    fn bytes(&self) -> Result<Vec<u8>, ModelError> {
        let encoded = self.kind.encode(self.values.to_data());
        encoded.map_err(|bad| bad.in_tensor(&self.path, &self.name))
    }
}

/// The rows of queries or keys, `[heads d, n]`, in the order of llama.cpp, which rotates neighbours in place of the two
/// halves of a head: row j and row j + d / 2 of a head become neighbours.
fn interleaved(rows: Tensor<2>, heads: usize) -> Tensor<2> {
    let [height, width] = rows.dims();
    rows.reshape([heads, 2, height / heads / 2, width]).swap_dims(1, 2).reshape([height, width])
}

/// The heads of a linear whose rows are rotated; `None` for other linears.
fn rotated_heads(own: &str, config: &ModelConfig) -> Option<usize> {
    match own {
        _ if own.contains(".self_attn.q_proj") => Some(config.num_attention_heads),
        _ if own.contains(".self_attn.k_proj") => Some(config.num_key_value_heads),
        _ => None,
    }
}

/// The tensors of a base.
///
/// # Errors
/// One has no place in the file.
pub(super) fn of_base(model: &CausalLm, kind: GgufType, path: &Path) -> Result<Vec<GgufTensor>, ModelError> {
    struct All<'a> {
        config: &'a ModelConfig,
        kind: GgufType,
        path: &'a Path,
        tensors: Vec<GgufTensor>,
        homeless: Option<String>,
    }
    impl ParameterVisitor for All<'_> {
        fn visit<const D: usize>(&mut self, own: String, of: ParameterKind, param: &Param<Tensor<D>>) {
            if of != ParameterKind::Base {
                return;
            }
            let Some(name) = name(&own) else {
                self.homeless.get_or_insert(own);
                return;
            };
            let shape: Shape = param.shape();
            let shape: Vec<usize> = shape.iter().copied().collect();
            let columns = if D == 1 { 1 } else { shape[D - 1] };
            let values = param.val().reshape([shape.iter().product::<usize>() / columns, columns]);
            let values = match rotated_heads(&own, self.config) {
                Some(heads) => interleaved(values, heads),
                None => values,
            };
            self.tensors.push(GgufTensor::new(name, shape, self.kind, values, self.path));
        }
    }
    let mut all = All { config: model.config(), kind, path, tensors: Vec::new(), homeless: None };
    model.visit_parameters(&mut all);
    if let Some(tensor) = all.homeless {
        return Err(ModelError::not_in_gguf(path, "a tensor", tensor, "a tensor of a Llama"));
    }
    let mut tensors = all.tensors;
    tensors.extend(frequency_factors(model, path));
    Ok(tensors)
}

/// The factors by which the wavelengths of Llama 3.1 are stretched.
fn frequency_factors(model: &CausalLm, path: &Path) -> Option<GgufTensor> {
    let rotation = model.config().rotations.first()?;
    let RotationScaling::Llama3 { .. } = rotation.scaling else { return None };
    let factors = rotation.stretching();
    let (length, device) = (factors.len(), model.projection().device());
    let values = Tensor::<1>::from_floats(factors.as_slice(), &device).reshape([length, 1]);
    Some(GgufTensor::new("rope_freqs.weight".into(), vec![length], GgufType::F32, values, path))
}

/// The tensors of plain LoRAs, and the alpha of all of them. Where a linear has another scale than alpha / rank, its B is
/// multiplied by the quotient.
///
/// # Errors
/// An adapter is not a plain LoRA; or the model has none.
pub(super) fn of_adapters(model: &CausalLm, kind: GgufType, path: &Path) -> Result<(f32, Vec<GgufTensor>), ModelError> {
    let (mut common, mut tensors) = (None, Vec::new());
    for (own, linear) in model.linears() {
        let Some(adapter) = &linear.adapter else { continue };
        let config = adapter.config();
        if config.method.kind().name != Lora::KIND.name {
            return Err(ModelError::NotMergeable { linear: own });
        }
        let weight = format!("{own}.weight");
        let Some(name) = name(&weight).filter(|_| layer_and_target(&own).is_some()) else {
            return Err(ModelError::not_in_gguf(path, "an adapted linear", own, "a linear of a Llama"));
        };
        let alpha: f32 = *common.get_or_insert(config.alpha);
        let (a, mut b) = (adapter.a(), adapter.b());
        let usual = alpha / config.rank.get() as f32;
        if config.scale() != usual {
            b = b * (config.scale() / usual);
        }
        if let Some(heads) = rotated_heads(&own, model.config()) {
            b = interleaved(b, heads);
        }
        for (end, values) in [("lora_a", a), ("lora_b", b)] {
            let shape = values.dims().to_vec();
            tensors.push(GgufTensor::new(format!("{name}.{end}"), shape, kind, values, path));
        }
    }
    match common {
        Some(alpha) => Ok((alpha, tensors)),
        None => Err(ModelError::not_in_gguf(path, "the adapter", "absent", "a plain LoRA")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn the_halves_of_a_head_alternate() {
        let rows = Tensor::<2>::from_data(
            TensorData::new((0..8).map(|i| i as f32).collect::<Vec<_>>(), [8, 1]),
            &Device::default(),
        );
        let values: Vec<f32> = interleaved(rows, 2).into_data().iter::<f32>().collect();
        assert_eq!(values, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }

    #[test]
    fn names_are_those_of_llama_cpp() {
        for (own, expected) in [
            ("model.embed_tokens.weight", Some("token_embd.weight")),
            ("model.layers.12.self_attn.o_proj.bias", Some("blk.12.attn_output.bias")),
            ("model.layers.0.post_attention_layernorm.weight", Some("blk.0.ffn_norm.weight")),
            ("model.layers.0.self_attn.q_norm.weight", None),
            ("model.layers.0.mlp.gate_up_proj.weight", None),
        ] {
            assert_eq!(name(own).as_deref(), expected, "{own}");
        }
    }
}
