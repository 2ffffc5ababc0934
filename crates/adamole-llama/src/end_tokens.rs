//! End-of-text tokens.

use crate::{ModelError, regular_file};
use serde_json::{Map, Value};
use std::path::Path;

/// The end-of-text tokens of a model folder: `eos_token_id`, one or several, of `generation_config.json`, else of
/// `config.json`. Empty if neither has it.
///
/// # Errors
/// A file is not JSON, or the field does not hold token ids.
pub fn end_tokens(folder: &Path) -> Result<Vec<u32>, ModelError> {
    for file in ["generation_config.json", "config.json"] {
        let path = folder.join(file);
        if !regular_file::exists(&path) {
            continue;
        }
        let text = regular_file::read_to_string(&path)?;
        let fields: Map<String, Value> = serde_json::from_str(&text).map_err(ModelError::json(&path))?;
        match fields.get("eos_token_id") {
            None | Some(Value::Null) => {}
            Some(value) => {
                let expected = "a token id or a list of token ids";
                return ids(value).ok_or_else(|| ModelError::unsupported(&path, "eos_token_id", value, expected));
            }
        }
    }
    Ok(Vec::new())
}

/// One id or several. A negative id stands for none.
fn ids(value: &Value) -> Option<Vec<u32>> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let ids: Option<Vec<i64>> = list.iter().map(Value::as_i64).collect();
    Some(ids?.into_iter().filter_map(|id| u32::try_from(id).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_id_and_several_ids_are_read() {
        assert_eq!(ids(&json!(2)), Some(vec![2]));
        assert_eq!(ids(&json!([1, 1768])), Some(vec![1, 1768]));
        assert_eq!(ids(&json!(-1)), Some(vec![]));
        assert_eq!(ids(&json!("</s>")), None);
        assert_eq!(ids(&json!([1, null])), None);
    }
}
