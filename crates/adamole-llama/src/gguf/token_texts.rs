//! The tokens of a vocabulary by their ids, with what llama.cpp has to know of each.

use super::tokenizer::{File, is_byte};
use crate::ModelError;
use std::path::Path;

/// What a token is, by its number in GGUF files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Normal = 1,
    /// The token for what has none.
    Unknown = 2,
    /// A special token, which texts of users cannot have.
    Control = 3,
    /// An added token that is no special one.
    UserDefined = 4,
    /// A row of the embedding without a token.
    Unused = 5,
    /// A token for a byte.
    Byte = 6,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) kind: TokenKind,
}

/// The tokens of all rows of the embedding.
///
/// # Errors
/// A token has no row.
pub(super) fn tokens(file: &File, rows: usize, path: &Path) -> Result<Vec<Token>, ModelError> {
    let unused = |id| Token { text: format!("[PAD{id}]"), kind: TokenKind::Unused };
    let mut tokens: Vec<Token> = (0..rows).map(unused).collect();
    let mut put = |id: u32, token: Token| match tokens.get_mut(id as usize) {
        Some(place) => {
            *place = token;
            Ok(())
        }
        None => {
            let expected = format!("below {rows}, the rows of the embedding");
            Err(ModelError::not_in_gguf(path, format!("the id of {}", token.text), id, expected))
        }
    };
    let unknown = file.model.unk_token.as_deref();
    for (text, &id) in &file.model.vocab {
        let kind = match file.model.byte_fallback {
            true if is_byte(text) => TokenKind::Byte,
            true if Some(text.as_str()) == unknown => TokenKind::Unknown,
            _ => TokenKind::Normal,
        };
        put(id, Token { text: text.clone(), kind })?;
    }
    for added in &file.added_tokens {
        let kind = match added.special {
            true if file.model.byte_fallback && Some(added.content.as_str()) == unknown => TokenKind::Unknown,
            true => TokenKind::Control,
            false => TokenKind::UserDefined,
        };
        put(added.id, Token { text: added.content.clone(), kind })?;
    }
    Ok(tokens)
}
