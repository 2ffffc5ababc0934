//! The attention of each layer: windows, and where queries and keys are rotated.

use super::{
    LayerAttention,
    family::{Family, Rotations, Windows},
};
use crate::ModelError;
use serde::Deserialize;
use std::path::Path;

const SLIDING: &str = "sliding_attention";
const FULL: &str = "full_attention";

/// The fields of `config.json` about the layers.
#[derive(Deserialize)]
pub(super) struct RawLayers {
    /// `None` if absent, `Some(None)` if null, which differ for some families.
    #[serde(default, deserialize_with = "super::read::given")]
    sliding_window: Option<Option<usize>>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    sliding_window_pattern: Option<usize>,
    no_rope_layers: Option<Vec<u8>>,
    no_rope_layer_interval: Option<usize>,
}

/// The defaults of transformers.
const USUAL_WINDOW: usize = 4096;
const USUAL_MAX_WINDOW_LAYERS: usize = 28;

impl RawLayers {
    /// The attention of `count` layers. Ignored fields are added to `notes`.
    pub(super) fn validate(
        &self,
        family: &Family,
        count: usize,
        path: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Vec<LayerAttention>, ModelError> {
        let rotated = self.rotated(family, count, path)?;
        let window = self.window(family);
        let default_slides = |layer: usize| match family.windows {
            Windows::Never => false,
            Windows::Everywhere(_) => window.is_some(),
            Windows::FromLayer => {
                window.is_some() && layer >= self.max_window_layers.unwrap_or(USUAL_MAX_WINDOW_LAYERS)
            }
            Windows::Alternating(pattern) => {
                !(layer + 1).is_multiple_of(self.sliding_window_pattern.unwrap_or(pattern))
            }
            Windows::Unrotated => self.use_sliding_window == Some(true) && window.is_some() && !rotated[layer],
        };
        let slides: Vec<bool> = match &self.layer_types {
            None => (0..count).map(default_slides).collect(),
            Some(types) => {
                self.check_types(types, count, path)?;
                let slides: Vec<bool> = types.iter().map(|kind| kind == SLIDING).collect();
                let is_fixed = matches!(family.windows, Windows::Never | Windows::Everywhere(_));
                if let Some(layer) = (0..count).find(|&layer| is_fixed && slides[layer] != default_slides(layer)) {
                    let expected = if default_slides(layer) { SLIDING } else { FULL };
                    let expected = format!("{expected} for all layers, since this family has no others");
                    return Err(ModelError::unsupported(path, "layer_types", &types[layer], expected));
                }
                slides
            }
        };
        if let Some(Some(given)) = self.sliding_window.filter(|_| matches!(family.windows, Windows::Never)) {
            notes.push(format!("sliding_window is {given}, but this family uses full attention; it is ignored"));
        }
        if slides.contains(&true) && window.is_none_or(|window| window == 0) {
            let given = if window.is_some() { "0" } else { "not in use" };
            let expected = format!("a number above 0, since layers have {SLIDING}");
            return Err(ModelError::unsupported(path, "sliding_window", given, expected));
        }
        let attention = |layer: usize| LayerAttention {
            window: window.filter(|_| slides[layer]),
            rotation: match family.rotations {
                Rotations::ByWindow => Some(usize::from(slides[layer])),
                _ => rotated[layer].then_some(0),
            },
        };
        Ok((0..count).map(attention).collect())
    }

    /// The window of the layers that have one.
    fn window(&self, family: &Family) -> Option<usize> {
        match family.windows {
            Windows::Never => None,
            Windows::Everywhere(usual) => self.sliding_window.unwrap_or(usual),
            Windows::FromLayer if self.use_sliding_window != Some(true) => None,
            Windows::Unrotated => self.sliding_window.flatten(),
            Windows::FromLayer | Windows::Alternating(_) => self.sliding_window.unwrap_or(Some(USUAL_WINDOW)),
        }
    }

    fn check_types(&self, types: &[String], count: usize, path: &Path) -> Result<(), ModelError> {
        let refused = |value: String, expected: String| ModelError::unsupported(path, "layer_types", value, expected);
        if types.len() != count {
            return Err(refused(format!("for {} layers", types.len()), format!("one for each of {count} layers")));
        }
        match types.iter().find(|kind| ![FULL, SLIDING].contains(&kind.as_str())) {
            Some(kind) => Err(refused(kind.clone(), format!("{FULL} or {SLIDING}"))),
            None => Ok(()),
        }
    }

    /// Whether each layer rotates queries and keys.
    fn rotated(&self, family: &Family, count: usize, path: &Path) -> Result<Vec<bool>, ModelError> {
        let Rotations::Some(interval) = family.rotations else { return Ok(vec![true; count]) };
        match &self.no_rope_layers {
            // Despite the field's name, 1 is for layers with rotation.
            Some(flags) if flags.len() == count && flags.iter().all(|flag| *flag < 2) => {
                Ok(flags.iter().map(|flag| *flag == 1).collect())
            }
            Some(flags) => {
                let expected = format!("0 or 1 for each of {count} layers");
                Err(ModelError::unsupported(path, "no_rope_layers", format!("{flags:?}"), expected))
            }
            None => {
                let interval = self.no_rope_layer_interval.unwrap_or(interval);
                Ok((0..count).map(|layer| !(layer + 1).is_multiple_of(interval)).collect())
            }
        }
    }
}
