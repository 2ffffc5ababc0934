//! Tokens as texts, for scores.

use adamole_data::{DataError, Tokenizer};
use adamole_generate::TextStream;

/// The texts of tokens one by one, which make up the text of all, as far as they are whole characters and no special tokens.
pub(super) fn token_texts(tokenizer: &Tokenizer, ids: &[u32]) -> Result<Vec<String>, DataError> {
    let mut stream = TextStream::new(tokenizer);
    ids.iter().map(|id| stream.push(*id)).collect()
}

/// The text of a token after another one: its name in the vocabulary where it has no text of its own.
pub(super) fn token_text(tokenizer: &Tokenizer, before: Option<u32>, id: u32) -> Result<String, DataError> {
    let before: Vec<u32> = before.into_iter().collect();
    let (first, both) = (tokenizer.decode(&before)?, tokenizer.decode(&[&before[..], &[id]].concat())?);
    match both.strip_prefix(&first) {
        Some(text) if !text.is_empty() && !text.contains('\u{fffd}') => Ok(text.to_owned()),
        _ => Ok(tokenizer.names(&[id]).concat()),
    }
}
