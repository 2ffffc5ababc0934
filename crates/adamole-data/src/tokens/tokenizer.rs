//! A model's own tokenizer, from its Hugging Face folder.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::special_tokens;
use crate::DataError;
use crate::files::cannot_open;

/// A tokenizer with the special tokens of its model.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: Option<u32>,
    eos: Option<u32>,
    digest: [u8; 32],
}

/// A text as token ids, without what the tokenizer puts after the text.
pub(crate) struct Pieces {
    pub(crate) ids: Vec<u32>,
    /// How many of the ids stand before the text: 1 with a beginning-of-sequence token, else 0.
    pub(crate) leading: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, and the beginning- and end-of-sequence tokens from `tokenizer_config.json`,
    /// `special_tokens_map.json` or `config.json` beside it, whichever of these first mentions them.
    ///
    /// Truncation and padding that the file asks for are switched off: length is the business of the
    /// [`Encoder`](crate::Encoder), padding that of the [`Batch`](crate::Batch).
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`], [`DataError::Io`] or [`DataError::Tokenizer`] for the tokenizer file,
    /// [`DataError::InvalidJson`] for the others, and [`DataError::SpecialToken`] for a token that is not in the
    /// vocabulary.
    pub fn from_folder(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|source| cannot_open(&path, source))?;
        let unusable = |source| DataError::Tokenizer { path: path.clone(), source };
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(unusable)?;
        inner.with_truncation(None).map_err(unusable)?.with_padding(None);
        let [bos, eos] = special_tokens::read(folder, &inner)?;
        let digest = Sha256::new().chain_update(&bytes).chain_update(format!("{bos:?} {eos:?}")).finalize().into();
        Ok(Self { inner, bos, eos, digest })
    }

    /// The ids of `text`, with the special tokens that the tokenizer's own rules add.
    ///
    /// # Errors
    ///
    /// [`DataError::Tokenize`] if the tokenizer has no token for a part of the text, not even an unknown one.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, DataError> {
        self.encode(text).map(|encoding| encoding.get_ids().to_vec())
    }

    /// The text of `ids`, special tokens left out.
    ///
    /// # Errors
    ///
    /// [`DataError::Tokenize`] if the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        self.inner
            .decode(ids, true)
            .map_err(|source| DataError::Tokenize { text: shortened(&format!("{ids:?}")), source })
    }

    /// The beginning-of-sequence token, if the model has one. [`Self::encode_text`] adds it where the tokenizer's
    /// rules say so.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-sequence token, if the model has one.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// How many tokens there are, added ones included. A model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// `text` with what the tokenizer puts before it, but not what it puts after it.
    pub(crate) fn pieces(&self, text: &str) -> Result<Pieces, DataError> {
        let encoding = self.encode(text)?;
        // Set for what the tokenizer's rules added, not for special tokens that the text itself spells out.
        let added = encoding.get_special_tokens_mask();
        let leading = added.iter().take_while(|&&added| added == 1).count();
        let trailing = added[leading..].iter().rev().take_while(|&&added| added == 1).count();
        let ids = encoding.get_ids();
        Ok(Pieces { ids: ids[..ids.len() - trailing].to_vec(), leading })
    }

    /// The bytes of `text` that each of its tokens stands for, those before the text included.
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<(usize, usize)>, DataError> {
        let encoding = self.inner.encode(text, true);
        encoding
            .map(|encoding| encoding.get_offsets().to_vec())
            .map_err(|source| DataError::Tokenize { text: shortened(text), source })
    }

    /// The last token of `text`, which stands alone.
    pub(crate) fn last_token(&self, text: &str) -> Result<Option<u32>, DataError> {
        let encoding = self.inner.encode_fast(text, false);
        encoding
            .map(|encoding| encoding.get_ids().last().copied())
            .map_err(|source| DataError::Tokenize { text: shortened(text), source })
    }

    /// A hash of all that decides about token ids.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The vocabulary's entries for `ids`, with its own signs for spaces and bytes, as in `▁the`.
    pub fn names(&self, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|&id| self.inner.id_to_token(id).unwrap_or_else(|| id.to_string())).collect()
    }

    fn encode(&self, text: &str) -> Result<tokenizers::Encoding, DataError> {
        // `encode_fast` leaves out the offsets, which nothing here needs.
        self.inner.encode_fast(text, true).map_err(|source| DataError::Tokenize { text: shortened(text), source })
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
