//! The special tokens of a tokenizer that templates see.

use crate::{
    ChatError,
    data::{Data, Record},
};
use std::{collections::BTreeMap, path::Path};

/// The names of the special tokens that transformers hands to a template (`special_tokens_map`).
pub const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Special tokens by their names, such as `eos_token`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens(BTreeMap<String, String>);

impl SpecialTokens {
    /// The special tokens of a folder with a tokenizer: of `tokenizer_config.json`, else of `special_tokens_map.json`.
    /// A folder without these files has none.
    ///
    /// # Errors
    /// A file cannot be read, or a token is neither a string nor an object with `content`.
    pub fn from_model_folder(folder: &Path) -> Result<Self, ChatError> {
        let mut tokens = Self::default();
        for file in ["special_tokens_map.json", "tokenizer_config.json"] {
            let path = folder.join(file);
            if let Some(record) = read_record(&path)? {
                tokens.read(&record, &path)?;
            }
        }
        Ok(tokens)
    }

    /// Takes over the tokens of a file, where it has them.
    pub(crate) fn read(&mut self, record: &Record, path: &Path) -> Result<(), ChatError> {
        for name in SPECIAL_TOKENS {
            let text = match record.get(name) {
                None | Some(Data::Null) => continue,
                Some(Data::Text(text)) => text,
                Some(Data::Record(token))
                    if token.get("content").is_some_and(|content| content.as_text().is_some()) =>
                {
                    token["content"].as_text().unwrap_or_default()
                }
                Some(other) => {
                    return Err(ChatError::Field {
                        path: path.into(),
                        field: name.into(),
                        found: other.kind().into(),
                        expected: "a string, or an object with `content`",
                    });
                }
            };
            self.set(name, text);
        }
        Ok(())
    }

    /// The text of a token.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Gives a token a text.
    pub fn set(&mut self, name: &str, text: &str) {
        self.0.insert(name.into(), text.into());
    }

    /// Takes a token away: it is then not a variable of the template.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// All tokens with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// The JSON object of a file, or none where there is no such file.
pub(crate) fn read_record(path: &Path) -> Result<Option<Record>, ChatError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ChatError::Read { path: path.into(), source }),
    };
    match serde_json::from_str(&text) {
        Ok(Data::Record(record)) => Ok(Some(record)),
        Ok(other) => Err(ChatError::Field {
            path: path.into(),
            field: "the file".into(),
            found: other.kind().into(),
            expected: "an object",
        }),
        Err(source) => Err(ChatError::Json { path: path.into(), source }),
    }
}
