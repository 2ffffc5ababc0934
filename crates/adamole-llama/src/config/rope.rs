//! The fields of the rotary embedding, in all spellings of transformers. Where they contradict each other, the one that
//! takes precedence in transformers 5 does so here.

use super::Llama3Rope;
use crate::ModelError;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// The default base of the wavelengths.
const THETA: f32 = 10_000.0;

/// The fields of `config.json` about the rotary embedding.
#[derive(Deserialize)]
pub(super) struct RawRope {
    rope_theta: Option<f32>,
    rope_scaling: Option<Parameters>,
    rope_parameters: Option<Parameters>,
    partial_rotary_factor: Option<f32>,
}

/// `rope_scaling`, and `rope_parameters` since transformers 5.
#[derive(Debug, PartialEq, Deserialize)]
struct Parameters {
    rope_theta: Option<f32>,
    rope_type: Option<String>,
    /// The name of `rope_type` before transformers 4.45.
    #[serde(rename = "type")]
    old_type: Option<String>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<f32>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Parameters {
    fn is_empty(&self) -> bool {
        *self == Self::none()
    }

    fn none() -> Self {
        Self {
            rope_theta: None,
            rope_type: None,
            old_type: None,
            factor: None,
            low_freq_factor: None,
            high_freq_factor: None,
            original_max_position_embeddings: None,
            partial_rotary_factor: None,
            others: Map::new(),
        }
    }

    /// The names of the given fields of a scaling.
    fn scaling_fields(&self) -> Vec<&str> {
        let known = [
            ("factor", self.factor.is_some()),
            ("low_freq_factor", self.low_freq_factor.is_some()),
            ("high_freq_factor", self.high_freq_factor.is_some()),
            ("original_max_position_embeddings", self.original_max_position_embeddings.is_some()),
        ];
        let known = known.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        known.chain(self.others.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str())).collect()
    }
}

impl RawRope {
    /// The base of the wavelengths and their scaling, for a model with this number of positions. Contradictions are added
    /// to `notes`.
    pub(super) fn validate(
        self,
        path: &Path,
        positions: usize,
        notes: &mut Vec<String>,
    ) -> Result<(f32, Option<Llama3Rope>), ModelError> {
        let given = |parameters: Option<Parameters>| parameters.filter(|parameters| !parameters.is_empty());
        let (name, rope) = match (given(self.rope_scaling), given(self.rope_parameters)) {
            (Some(scaling), Some(parameters)) => {
                if scaling != parameters {
                    notes.push("rope_scaling and rope_parameters are both given; rope_scaling takes precedence".into());
                }
                ("rope_scaling", scaling)
            }
            (Some(scaling), None) => ("rope_scaling", scaling),
            (None, Some(parameters)) => ("rope_parameters", parameters),
            (None, None) => ("rope_parameters", Parameters::none()),
        };
        let theta = match (rope.rope_theta, self.rope_theta) {
            (Some(inner), Some(outer)) if inner != outer => {
                notes.push(format!("rope_theta is {inner} in {name} and {outer} outside; {inner} takes precedence"));
                inner
            }
            (inner, outer) => inner.or(outer).unwrap_or(THETA),
        };
        if !(theta.is_finite() && theta > 0.0) {
            return Err(ModelError::unsupported(path, "rope_theta", theta, "a number above 0"));
        }
        let rope_type = match (rope.rope_type.as_deref(), rope.old_type.as_deref()) {
            (Some(new), Some(old)) if new != old => {
                notes.push(format!("{name} has rope_type {new} and type {old}; {new} takes precedence"));
                new
            }
            (new, old) => new.or(old).unwrap_or("default"),
        };
        let partial = rope.partial_rotary_factor.or(self.partial_rotary_factor).filter(|factor| *factor != 1.0);
        if let Some((kind, _)) = rope.others.iter().find(|(_, value)| value.is_object()) {
            let expected = "the same rotation for all layers";
            return Err(ModelError::unsupported(path, name, format!("specific to {kind}"), expected));
        }
        let scaling = match rope_type {
            "default" => {
                let unused = rope.scaling_fields();
                if !unused.is_empty() {
                    let fields = unused.join(", ");
                    notes.push(format!("{name} has {fields}, but no rope_type that uses them; nothing is scaled"));
                }
                if let Some(factor) = partial {
                    notes.push(format!("partial_rotary_factor is {factor}, but this family rotates full heads"));
                }
                None
            }
            "llama3" => {
                if let Some(factor) = partial {
                    return Err(ModelError::unsupported(
                        path,
                        "partial_rotary_factor",
                        factor,
                        "1 with llama3 scaling",
                    ));
                }
                Some(llama3(&rope, path, positions, notes)?)
            }
            other => return Err(ModelError::unsupported(path, "rope_type", other, "default or llama3")),
        };
        Ok((theta, scaling))
    }
}

fn llama3(rope: &Parameters, path: &Path, positions: usize, notes: &mut Vec<String>) -> Result<Llama3Rope, ModelError> {
    let (Some(factor), Some(low_freq_factor), Some(high_freq_factor)) =
        (rope.factor, rope.low_freq_factor, rope.high_freq_factor)
    else {
        let expected = "factor, low_freq_factor and high_freq_factor with it";
        return Err(ModelError::unsupported(path, "rope_type", "llama3", expected));
    };
    for (field, value) in
        [("factor", factor), ("low_freq_factor", low_freq_factor), ("high_freq_factor", high_freq_factor)]
    {
        if !(value.is_finite() && value > 0.0) {
            return Err(ModelError::unsupported(path, field, value, "a number above 0"));
        }
    }
    if high_freq_factor == low_freq_factor {
        return Err(ModelError::unsupported(path, "high_freq_factor", high_freq_factor, "more than low_freq_factor"));
    }
    let original_max_position_embeddings = rope.original_max_position_embeddings.unwrap_or_else(|| {
        notes.push(format!(
            "the llama3 scaling has no original_max_position_embeddings; max_position_embeddings, {positions}, is used"
        ));
        positions
    });
    Ok(Llama3Rope { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings })
}
