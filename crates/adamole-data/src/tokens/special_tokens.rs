//! The tokens that begin and end a text, from the files beside `tokenizer.json`.

use std::path::Path;

use serde_json::{Map, Value};

use crate::DataError;
use crate::files::{parse_object, read_text};

/// The files that may declare special tokens, in the order of precedence. `config.json` is that of the model and declares ids, the
/// other two declare texts.
const FILES: [(&str, [&str; 2]); 3] = [
    ("tokenizer_config.json", ["bos_token", "eos_token"]),
    ("special_tokens_map.json", ["bos_token", "eos_token"]),
    ("config.json", ["bos_token_id", "eos_token_id"]),
];

/// The ids of the beginning- and end-of-sequence tokens. The first file that declares a token decides; null declares that there is
/// none.
pub(crate) fn read(folder: &Path, tokenizer: &tokenizers::Tokenizer) -> Result<[Option<u32>; 2], DataError> {
    let mut found: [Option<Option<u32>>; 2] = [None; 2];
    for (file, keys) in FILES {
        let path = folder.join(file);
        let Some(fields) = read_object(&path)? else {
            continue;
        };
        for (token, key) in found.iter_mut().zip(keys) {
            if let (None, Some(value)) = (*token, fields.get(key)) {
                let id = resolve(value, tokenizer).ok_or_else(|| DataError::SpecialToken {
                    path: path.clone(),
                    key,
                    found: value.to_string(),
                })?;
                *token = Some(id);
            }
        }
    }
    Ok(found.map(Option::flatten))
}

/// The id of a declaration: `"</s>"`, `{"content": "</s>", ..}`, `2`, or `[2, 7]`, of which the first is taken. `None` if it is
/// not in the vocabulary, `Some(None)` if it declares that there is no token.
fn resolve(value: &Value, tokenizer: &tokenizers::Tokenizer) -> Option<Option<u32>> {
    match value {
        Value::Null => Some(None),
        Value::String(token) => tokenizer.token_to_id(token).map(Some),
        Value::Object(token) => resolve(token.get("content")?, tokenizer),
        Value::Array(ids) => resolve(ids.first()?, tokenizer),
        Value::Number(id) => {
            let id = u32::try_from(id.as_u64()?).ok()?;
            tokenizer.id_to_token(id).map(|_| Some(id))
        }
        Value::Bool(_) => None,
    }
}

/// The JSON object in a file; `None` if the file does not exist.
fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, DataError> {
    match read_text(path) {
        Ok(text) => parse_object(&text, path, 1).map(Some),
        Err(DataError::MissingFile { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
