//! The shapes of well-known models, as in their `config.json`. Gemma 3 from 4B on is the text part alone.

use super::ModelConfig;
use crate::ModelError;
use serde_json::{Map, Value};
use std::path::Path;

const KNOWN: &str = include_str!("known.json");

impl ModelConfig {
    /// The shape of a well-known model, such as `llama-2-7b`; `None` for other names.
    ///
    /// # Errors
    /// None that a known name has.
    pub fn known(name: &str) -> Result<Option<Self>, ModelError> {
        known()?.get(name).map(Self::from_json).transpose()
    }

    /// The names of the well-known models.
    ///
    /// # Errors
    /// None.
    pub fn known_names() -> Result<Vec<String>, ModelError> {
        Ok(known()?.into_iter().map(|(name, _)| name).collect())
    }
}

fn known() -> Result<Map<String, Value>, ModelError> {
    serde_json::from_str(KNOWN).map_err(ModelError::json(Path::new("known.json")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinearShapes;

    /// The numbers of weights that are published beside the files.
    const PUBLISHED: [(&str, usize); 38] = [
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3-8b", 8_030_261_248),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3.2-3b", 3_212_749_824),
        ("smollm2-135m", 134_515_008),
        ("smollm2-360m", 361_821_120),
        ("smollm2-1.7b", 1_711_376_384),
        ("smollm3-3b", 3_075_098_624),
        ("mistral-7b-v0.1", 7_241_732_096),
        ("mistral-7b-v0.3", 7_248_023_552),
        ("qwen2.5-0.5b", 494_032_768),
        ("qwen2.5-1.5b", 1_543_714_304),
        ("qwen2.5-3b", 3_085_938_688),
        ("qwen2.5-7b", 7_615_616_512),
        ("qwen2.5-14b", 14_770_033_664),
        ("qwen3-0.6b", 596_049_920),
        ("qwen3-1.7b", 1_720_574_976),
        ("qwen3-4b", 4_022_468_096),
        ("qwen3-8b", 8_190_735_360),
        ("qwen3-14b", 14_768_307_200),
        ("gemma-2b", 2_506_172_416),
        ("gemma-7b", 8_537_680_896),
        ("gemma-2-2b", 2_614_341_888),
        ("gemma-2-9b", 9_241_705_984),
        ("gemma-2-27b", 27_227_128_320),
        ("gemma-3-270m", 268_098_176),
        ("gemma-3-1b", 999_885_952),
        ("gemma-3-4b", 3_880_263_168),
        ("gemma-3-12b", 11_766_034_176),
        ("gemma-3-27b", 27_009_346_304),
        ("phi-3-mini", 3_821_079_552),
        ("phi-3-medium", 13_960_238_080),
        ("phi-4", 14_659_507_200),
        ("phi-4-mini", 3_836_021_760),
    ];

    #[test]
    fn well_known_models_have_their_published_numbers_of_weights() {
        let wrong: Vec<_> = PUBLISHED
            .into_iter()
            .filter_map(|(name, expected)| {
                let config = ModelConfig::known(name).unwrap().unwrap();
                let found = LinearShapes::of(&config).elements();
                (found != expected).then_some((name, found, expected))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(ModelConfig::known_names().unwrap().len(), PUBLISHED.len());
    }
}
