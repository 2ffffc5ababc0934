//! Which tokens end a text, as a model's own files say.

use crate::{ModelError, regular_file};
use serde_json::{Map, Value};
use std::path::Path;

/// The ids that a model ends its texts with: `eos_token_id` of `generation_config.json`, one or several, or of
/// `config.json` where that file says nothing. Empty where neither does.
///
/// # Errors
/// A file is not JSON, or the field holds something else than ids.
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
                let expected = "a token's id, or a list of them";
                return ids(value).ok_or_else(|| ModelError::unsupported(&path, "eos_token_id", value, expected));
            }
        }
    }
    Ok(Vec::new())
}

/// One id or several. A negative one stands for none.
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
    fn one_id_or_several_are_read() {
        assert_eq!(ids(&json!(2)), Some(vec![2]));
        assert_eq!(ids(&json!([1, 1768])), Some(vec![1, 1768]));
        assert_eq!(ids(&json!(-1)), Some(vec![]));
        assert_eq!(ids(&json!("</s>")), None);
        assert_eq!(ids(&json!([1, null])), None);
    }
}
