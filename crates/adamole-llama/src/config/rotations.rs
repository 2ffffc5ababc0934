//! The fields of the rotary embedding, in all spellings of transformers. Where they contradict each other, the one that
//! takes precedence in transformers 5 does so here.

use super::family::{Family, Rotations};
use crate::{ModelError, Rotation, RotationScaling};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{f64::consts::PI, path::Path};

/// The base of the wavelengths in layers with a window.
const LOCAL_THETA: f32 = 10_000.0;
/// The kinds of layers for which `rope_parameters` can differ, in the order of [`ModelConfig::rotations`](super::ModelConfig).
const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];

/// The fields of `config.json` about the rotary embedding.
#[derive(Deserialize)]
pub(super) struct RawRotations {
    rope_theta: Option<f32>,
    rope_local_base_freq: Option<f32>,
    rope_scaling: Option<Parameters>,
    rope_parameters: Option<Parameters>,
    partial_rotary_factor: Option<f32>,
    original_max_position_embeddings: Option<usize>,
}

/// `rope_scaling`, and `rope_parameters` since transformers 5.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
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
    attention_factor: Option<f32>,
    beta_fast: Option<f32>,
    beta_slow: Option<f32>,
    mscale: Option<f32>,
    mscale_all_dim: Option<f32>,
    /// Null is false, as in Python.
    #[serde(default, deserialize_with = "super::read::given")]
    truncate: Option<Option<bool>>,
    short_factor: Option<Vec<f32>>,
    long_factor: Option<Vec<f32>>,
    partial_rotary_factor: Option<f32>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Parameters {
    /// The fields that are given beside theta and type, which only a scaling uses.
    fn scaling_fields(&self) -> Vec<&str> {
        let known = [
            ("factor", self.factor.is_some()),
            ("low_freq_factor", self.low_freq_factor.is_some()),
            ("high_freq_factor", self.high_freq_factor.is_some()),
            ("original_max_position_embeddings", self.original_max_position_embeddings.is_some()),
            ("attention_factor", self.attention_factor.is_some()),
            ("short_factor", self.short_factor.is_some()),
            ("long_factor", self.long_factor.is_some()),
        ];
        let known = known.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        known.chain(self.others.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str())).collect()
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a rotation is read with.
struct Reading<'a> {
    family: &'a Family,
    path: &'a Path,
    /// `rope_scaling` or `rope_parameters`.
    name: &'static str,
    head_dim: usize,
    /// `max_position_embeddings`.
    positions: usize,
    notes: &'a mut Vec<String>,
}

impl RawRotations {
    /// The rotations that the layers of a model with this width of heads and this number of positions have. Contradictions
    /// are added to `notes`.
    pub(super) fn validate(
        self,
        family: &Family,
        [head_dim, positions]: [usize; 2],
        path: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Rotation>, ModelError> {
        let given = |parameters: &Option<Parameters>| parameters.clone().filter(|parameters| !parameters.is_empty());
        let (scaling, parameters) = (given(&self.rope_scaling), given(&self.rope_parameters));
        if scaling.is_some() && parameters.is_some() && scaling != parameters {
            notes.push("rope_scaling and rope_parameters are both given; rope_scaling takes precedence".into());
        }
        let name = if scaling.is_some() { "rope_scaling" } else { "rope_parameters" };
        let mut reading = Reading { family, path, name, head_dim, positions, notes };
        if family.rotations == Rotations::ByWindow {
            return self.by_window(scaling, parameters, &mut reading);
        }
        let rope = scaling.or(parameters).unwrap_or_default();
        if let Some((kind, _)) = rope.others.iter().find(|(_, value)| value.is_object()) {
            let expected = "the same rotation for all layers";
            return Err(ModelError::unsupported(path, name, format!("specific to {kind}"), expected));
        }
        Ok(vec![self.rotation(rope, family.theta, &mut reading)?])
    }

    /// The rotations of layers without and with a window.
    fn by_window(
        &self,
        scaling: Option<Parameters>,
        parameters: Option<Parameters>,
        reading: &mut Reading<'_>,
    ) -> Result<Vec<Rotation>, ModelError> {
        let nested = |kind: &str| -> Result<Parameters, ModelError> {
            match parameters.as_ref().and_then(|parameters| parameters.others.get(kind)) {
                None | Some(Value::Null) => Ok(Parameters::default()),
                Some(value) => Parameters::deserialize(value).map_err(|error| {
                    let field = format!("rope_parameters.{kind}");
                    ModelError::unsupported(reading.path, field, value, format!("a rotation: {error}"))
                }),
            }
        };
        if let Some(flat) = &parameters
            && !KINDS.iter().any(|kind| flat.others.contains_key(*kind))
        {
            let expected = format!("{} with a rotation each", KINDS.join(" and "));
            return Err(ModelError::unsupported(reading.path, "rope_parameters", "one for all layers", expected));
        }
        let full = match scaling {
            Some(scaling) => scaling,
            None => nested(KINDS[0])?,
        };
        let local = Self { rope_theta: self.rope_local_base_freq, ..Self::none() };
        Ok(vec![
            self.rotation(full, reading.family.theta, reading)?,
            local.rotation(nested(KINDS[1])?, LOCAL_THETA, reading)?,
        ])
    }

    fn none() -> Self {
        Self {
            rope_theta: None,
            rope_local_base_freq: None,
            rope_scaling: None,
            rope_parameters: None,
            partial_rotary_factor: None,
            original_max_position_embeddings: None,
        }
    }

    fn rotation(&self, rope: Parameters, usual: f32, reading: &mut Reading<'_>) -> Result<Rotation, ModelError> {
        let Reading { path, name, .. } = *reading;
        let theta = match (rope.rope_theta, self.rope_theta) {
            (Some(inner), Some(outer)) if inner != outer => {
                let note = format!("rope_theta is {inner} in {name} and {outer} outside; {inner} takes precedence");
                reading.notes.push(note);
                inner
            }
            (inner, outer) => inner.or(outer).unwrap_or(usual),
        };
        if !(theta.is_finite() && theta > 0.0) {
            return Err(ModelError::unsupported(path, "rope_theta", theta, "a number above 0"));
        }
        let kind = match (rope.rope_type.as_deref(), rope.old_type.as_deref()) {
            (Some(new), Some(old)) if new != old => {
                reading.notes.push(format!("{name} has rope_type {new} and type {old}; {new} takes precedence"));
                new
            }
            (new, old) => new.or(old).unwrap_or("default"),
        };
        let is_partial = reading.family.rotations == Rotations::Partial;
        let kind = if is_partial && ["su", "yarn"].contains(&kind) { "longrope" } else { kind };
        let share = rope.partial_rotary_factor.or(self.partial_rotary_factor).filter(|share| *share != 1.0);
        let width = match share {
            Some(share) if is_partial => {
                let width = (reading.head_dim as f32 * share) as usize;
                if !(share > 0.0 && share < 1.0 && width.is_multiple_of(2) && width > 0) {
                    let expected = "a share of the head that is an even number of dimensions";
                    return Err(ModelError::unsupported(path, "partial_rotary_factor", share, expected));
                }
                width
            }
            Some(share) if kind != "default" => {
                let expected = format!("1 with {kind} scaling");
                return Err(ModelError::unsupported(path, "partial_rotary_factor", share, expected));
            }
            Some(share) => {
                let note = format!("partial_rotary_factor is {share}, but this family rotates full heads");
                reading.notes.push(note);
                reading.head_dim
            }
            None => reading.head_dim,
        };
        let original = self.original_max_position_embeddings.or(rope.original_max_position_embeddings);
        Ok(Rotation { theta, width, scaling: reading.scaling(kind, &rope, theta, width, original)? })
    }
}

impl Reading<'_> {
    fn scaling(
        &mut self,
        kind: &str,
        rope: &Parameters,
        theta: f32,
        width: usize,
        original: Option<usize>,
    ) -> Result<RotationScaling, ModelError> {
        match kind {
            "default" => {
                let unused = rope.scaling_fields();
                if !unused.is_empty() {
                    let (name, fields) = (self.name, unused.join(", "));
                    self.notes.push(format!("{name} has {fields}, but no rope_type that uses them; nothing is scaled"));
                }
                Ok(RotationScaling::None)
            }
            "linear" => Ok(RotationScaling::Linear { factor: self.required("factor", rope.factor, kind)? }),
            "dynamic" => {
                let factor = self.required("factor", rope.factor, kind)?;
                if width <= 2 {
                    return Err(self.refused("head_dim", width, "more than 2 with dynamic scaling"));
                }
                Ok(RotationScaling::Dynamic { factor, positions: self.positions })
            }
            "llama3" => {
                let factor = self.required("factor", rope.factor, kind)?;
                let low_freq_factor = self.required("low_freq_factor", rope.low_freq_factor, kind)?;
                let high_freq_factor = self.required("high_freq_factor", rope.high_freq_factor, kind)?;
                if high_freq_factor == low_freq_factor {
                    return Err(self.refused("high_freq_factor", high_freq_factor, "more than low_freq_factor"));
                }
                let positions = self.original(kind, original)?;
                Ok(RotationScaling::Llama3 { factor, low_freq_factor, high_freq_factor, positions })
            }
            "yarn" => self.yarn(rope, theta, width, original),
            "longrope" => self.longrope(rope, width, original),
            other => {
                let expected = "default, linear, dynamic, llama3, yarn or longrope";
                Err(self.refused("rope_type", other, expected))
            }
        }
    }

    /// Peng et al. 2023, with the extensions of transformers.
    fn yarn(
        &mut self,
        rope: &Parameters,
        theta: f32,
        width: usize,
        original: Option<usize>,
    ) -> Result<RotationScaling, ModelError> {
        let original = self.original("yarn", original)? as f32;
        let factor = self.positive("factor", rope.factor)?.unwrap_or(self.positions as f32 / original);
        let magnitude = |scale: f32| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let attention_factor = self.positive("attention_factor", rope.attention_factor)?.unwrap_or_else(|| {
            match [rope.mscale, rope.mscale_all_dim].map(|scale| scale.filter(|scale| *scale != 0.0)) {
                [Some(scale), Some(all)] => magnitude(scale) / magnitude(all),
                _ => magnitude(1.0),
            }
        });
        // The dimension whose wavelength fits the original length so many times.
        let (length, base) = (f64::from(original), f64::from(theta));
        let dimension = |turns: f32| width as f64 * (length / (f64::from(turns) * 2.0 * PI)).ln() / (2.0 * base.ln());
        let usual = |given: Option<f32>, usual: f32| given.filter(|beta| *beta != 0.0).unwrap_or(usual);
        let (fast, slow) = (usual(rope.beta_fast, 32.0), usual(rope.beta_slow, 1.0));
        let (mut first, mut last) = (dimension(fast), dimension(slow));
        if rope.truncate.unwrap_or(Some(true)).unwrap_or(false) {
            (first, last) = (first.floor(), last.ceil());
        }
        let (first, last) = (first.max(0.0) as f32, last.min(width as f64 - 1.0) as f32);
        if !(first.is_finite() && last.is_finite()) {
            return Err(self.refused("beta_fast", fast, "numbers above 0 with a rope_theta other than 1"));
        }
        // Not a division by zero.
        let last = if first == last { last + 0.001 } else { last };
        Ok(RotationScaling::Yarn { factor, ramp: [first, last], attention_factor })
    }

    /// Ding et al. 2024, as in Phi-3.
    fn longrope(
        &mut self,
        rope: &Parameters,
        width: usize,
        original: Option<usize>,
    ) -> Result<RotationScaling, ModelError> {
        let positions = self.original("longrope", original)?;
        let factors = |field: &str, given: &Option<Vec<f32>>| match given {
            Some(factors) if factors.len() == width / 2 && factors.iter().all(|f| f.is_finite() && *f > 0.0) => {
                Ok(factors.clone())
            }
            given => {
                let found = given.as_ref().map_or("absent".into(), |factors| format!("a list of {}", factors.len()));
                Err(self.refused(field, found, &format!("{} numbers above 0 with longrope scaling", width / 2)))
            }
        };
        let (short, long) = (factors("short_factor", &rope.short_factor)?, factors("long_factor", &rope.long_factor)?);
        let growth = self.positive("factor", rope.factor)?.unwrap_or(self.positions as f32 / positions as f32);
        let usual = if growth <= 1.0 { 1.0 } else { (1.0 + growth.ln() / (positions as f32).ln()).sqrt() };
        let attention_factor = self.positive("attention_factor", rope.attention_factor)?.unwrap_or(usual);
        if !attention_factor.is_finite() {
            return Err(self.refused("original_max_position_embeddings", positions, "more than 1"));
        }
        Ok(RotationScaling::LongRope { short, long, positions, attention_factor })
    }

    /// The length of texts in the original training.
    fn original(&mut self, kind: &str, original: Option<usize>) -> Result<usize, ModelError> {
        let positions = self.positions;
        let original = original.unwrap_or_else(|| {
            self.notes.push(format!(
                "the {kind} scaling has no original_max_position_embeddings; max_position_embeddings, {positions}, is used"
            ));
            positions
        });
        match original {
            0 => Err(self.refused("original_max_position_embeddings", 0, "a number above 0")),
            original => Ok(original),
        }
    }

    fn positive(&self, field: &str, value: Option<f32>) -> Result<Option<f32>, ModelError> {
        match value {
            Some(value) if !(value.is_finite() && value > 0.0) => Err(self.refused(field, value, "a number above 0")),
            value => Ok(value),
        }
    }

    fn required(&self, field: &str, value: Option<f32>, kind: &str) -> Result<f32, ModelError> {
        let expected = format!("a number above 0 with {kind} scaling");
        self.positive(field, value)?.ok_or_else(|| self.refused(field, "absent", &expected))
    }

    fn refused(&self, field: &str, value: impl ToString, expected: &str) -> ModelError {
        ModelError::unsupported(self.path, field, value.to_string(), expected)
    }
}
