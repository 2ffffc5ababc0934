//! A model's own tokenizer, from its Hugging Face folder.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{soundness, special_tokens};
use crate::DataError;
use crate::files::read_text;
use crate::guard::guarded;

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
    /// [`DataError::MissingFile`], [`DataError::OtherTokenizer`], [`DataError::Io`] or [`DataError::Tokenizer`] for the
    /// tokenizer file, also if it makes the library fail on some short text,
    /// [`DataError::InvalidJson`] for the others, and [`DataError::SpecialToken`] for a token that is not in the
    /// vocabulary.
    pub fn from_folder(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join("tokenizer.json");
        let text = read_text(&path).map_err(|error| match (error, other_tokenizer(folder)) {
            (DataError::MissingFile { .. }, Some(found)) => DataError::OtherTokenizer { folder: folder.into(), found },
            (error, _) => error,
        })?;
        let inner = load(text.as_bytes()).map_err(|source| DataError::Tokenizer { path: path.clone(), source })?;
        let [bos, eos] = special_tokens::read(folder, &inner)?;
        let digest = Sha256::new().chain_update(&text).chain_update(format!("{bos:?} {eos:?}")).finalize().into();
        let tokenizer = Self { inner, bos, eos, digest };
        // A file that the library fails on is found out here, and not after a model was loaded.
        tokenizer.probe().map_err(|error| match error {
            DataError::Tokenize { source, .. } => DataError::Tokenizer { path, source },
            error => error,
        })?;
        Ok(tokenizer)
    }

    fn probe(&self) -> Result<(), DataError> {
        for text in PROBES {
            match self.encode_text(text) {
                Ok(ids) => drop(self.decode(&ids)?),
                // A vocabulary may well lack a letter. It is said when a text has it.
                Err(DataError::Tokenize { source, .. }) if !source.is::<Panicked>() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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
        called(|| self.inner.decode(ids, true), || format!("{ids:?}"))
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
        called(|| self.inner.encode(text, true), || text.into()).map(|encoding| encoding.get_offsets().to_vec())
    }

    /// The last token of `text`, which stands alone.
    pub(crate) fn last_token(&self, text: &str) -> Result<Option<u32>, DataError> {
        let encoding = called(|| self.inner.encode_fast(text, false), || text.into())?;
        Ok(encoding.get_ids().last().copied())
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
        called(|| self.inner.encode_fast(text, true), || text.into())
    }
}

/// Texts with which a tokenizer is tried: nothing, the shape of a prompt's end, and what is rare.
const PROBES: [&str; 4] = ["", "Answer: A", " \n\ta  b'c 12", "\u{e9}\u{ad}\u{4e16}\u{1f600}\0"];

/// What other programs read in place of `tokenizer.json`.
fn other_tokenizer(folder: &Path) -> Option<&'static str> {
    let known =
        ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "vocab.json", "vocab.txt"];
    known.into_iter().find(|file| folder.join(file).is_file())
}

type LibraryError = Box<dyn std::error::Error + Send + Sync>;

/// The library's own panic, with its message.
#[derive(Debug, thiserror::Error)]
#[error("the tokenizer library gave up: {0}")]
struct Panicked(String);

fn load(bytes: &[u8]) -> Result<tokenizers::Tokenizer, LibraryError> {
    soundness::check(bytes)?;
    guarded(|| {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes)?;
        inner.with_truncation(None)?.with_padding(None);
        Ok(inner)
    })
    .map_err(Panicked)?
}

/// What the library makes of a text or of ids, which `of` shows.
fn called<T>(call: impl FnOnce() -> tokenizers::Result<T>, of: impl FnOnce() -> String) -> Result<T, DataError> {
    let result = guarded(call).map_err(|panic| Panicked(panic).into()).flatten();
    result.map_err(|source| DataError::Tokenize { text: of().chars().take(80).collect(), source })
}
