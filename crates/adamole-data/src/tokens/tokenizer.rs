//! The tokenizer of a model, from its Hugging Face folder.

use std::path::Path;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::{soundness, special_tokens};
use crate::DataError;
use crate::files::read_text;
use crate::guard::{Panicked, guarded};

/// A tokenizer with the special tokens of its model.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The same without what is done after the model, which adds special tokens and may cut spaces from the byte ranges.
    plain: OnceLock<Box<tokenizers::Tokenizer>>,
    bos: Option<u32>,
    eos: Option<u32>,
    digest: [u8; 32],
}

/// A text as token ids, without the special tokens after it.
pub(crate) struct Pieces {
    pub(crate) ids: Vec<u32>,
    /// The number of special tokens before the text: 1 with a beginning-of-sequence token, otherwise 0.
    pub(crate) leading: usize,
}

/// The tokens of a text alone.
pub(crate) struct OwnTokens {
    pub(crate) ids: Vec<u32>,
    /// The byte range of each token in the text, with its spaces.
    pub(crate) spans: Vec<(usize, usize)>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, and the beginning- and end-of-sequence tokens from the first of `tokenizer_config.json`,
    /// `special_tokens_map.json` and `config.json` beside it that declares them.
    ///
    /// Truncation and padding in the file are disabled: the [`Encoder`](crate::Encoder) truncates and the [`Batch`](crate::Batch)
    /// pads.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`], [`DataError::OtherTokenizer`], [`DataError::Io`] or [`DataError::Tokenizer`] for the tokenizer
    /// file, also if the library fails on a short text, [`DataError::InvalidJson`] for the other files, and
    /// [`DataError::SpecialToken`] for a token that is not in the vocabulary.
    pub fn from_folder(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join("tokenizer.json");
        let text = read_text(&path).map_err(|error| match (error, other_tokenizer(folder)) {
            (DataError::MissingFile { .. }, Some(found)) => DataError::OtherTokenizer { folder: folder.into(), found },
            (error, _) => error,
        })?;
        let inner = load(text.as_bytes()).map_err(|source| DataError::Tokenizer { path: path.clone(), source })?;
        let [bos, eos] = special_tokens::read(folder, &inner)?;
        let digest = Sha256::new().chain_update(&text).chain_update(format!("{bos:?} {eos:?}")).finalize().into();
        let tokenizer = Self { inner, plain: OnceLock::new(), bos, eos, digest };
        // A file that the library fails on is refused here, before a model is loaded.
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
                // A vocabulary may lack a character, which is an error of the texts that have it.
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

    /// The ids of a text that has its special tokens already, such as a conversation by a chat template: the tokenizer's own rules
    /// add none.
    ///
    /// # Errors
    ///
    /// As [`Self::encode_text`].
    pub fn encode_rendered(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = called(|| self.inner.encode_fast(text, false), || text.into())?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Whether a token is a special one, which [`Self::decode`] leaves out.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.id_to_token(id).is_some_and(|token| self.inner.get_added_vocabulary().is_special_token(&token))
    }

    /// The text of `ids` without special tokens.
    ///
    /// # Errors
    ///
    /// [`DataError::Tokenize`] if the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        self.decoded(ids, true)
    }

    /// [`Self::decode`] with the special tokens.
    ///
    /// # Errors
    ///
    /// [`DataError::Tokenize`].
    pub fn decode_with_special_tokens(&self, ids: &[u32]) -> Result<String, DataError> {
        self.decoded(ids, false)
    }

    fn decoded(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, DataError> {
        called(|| self.inner.decode(ids, skip_special_tokens), || format!("{ids:?}"))
    }

    /// The beginning-of-sequence token, if the model has one. [`Self::encode_text`] adds it if the tokenizer's rules do.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-sequence token, if the model has one.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The number of tokens, including added ones. The embedding of a model may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The ids of `text` with the special tokens before it, but not those after it.
    pub(crate) fn pieces(&self, text: &str) -> Result<Pieces, DataError> {
        let encoding = self.encode(text)?;
        // 1 for tokens that the tokenizer's rules added, 0 for special tokens that are spelled out in the text.
        let added = encoding.get_special_tokens_mask();
        let leading = added.iter().take_while(|&&added| added == 1).count();
        let trailing = added[leading..].iter().rev().take_while(|&&added| added == 1).count();
        let ids = encoding.get_ids();
        Ok(Pieces { ids: ids[..ids.len() - trailing].to_vec(), leading })
    }

    /// The byte range of each token in `text`, including the special tokens before it.
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<(usize, usize)>, DataError> {
        called(|| self.inner.encode(text, true), || text.into()).map(|encoding| encoding.get_offsets().to_vec())
    }

    /// The tokens of `text` without special tokens around it.
    pub(crate) fn own_tokens(&self, text: &str) -> Result<OwnTokens, DataError> {
        let plain = self.plain.get_or_init(|| {
            let mut plain = Box::new(self.inner.clone());
            plain.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
            plain
        });
        let encoding = called(|| plain.encode(text, false), || text.into())?;
        Ok(OwnTokens { ids: encoding.get_ids().to_vec(), spans: encoding.get_offsets().to_vec() })
    }

    /// The last token of `text` encoded alone.
    pub(crate) fn last_token(&self, text: &str) -> Result<Option<u32>, DataError> {
        let encoding = called(|| self.inner.encode_fast(text, false), || text.into())?;
        Ok(encoding.get_ids().last().copied())
    }

    /// A hash of everything that determines token ids.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The vocabulary entries of `ids`, with the vocabulary's own signs for spaces and bytes, as in `▁the`.
    pub fn names(&self, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|&id| self.inner.id_to_token(id).unwrap_or_else(|| id.to_string())).collect()
    }

    fn encode(&self, text: &str) -> Result<tokenizers::Encoding, DataError> {
        // `encode_fast` omits the offsets, which are not needed here.
        called(|| self.inner.encode_fast(text, true), || text.into())
    }
}

/// Texts that every tokenizer is tried with: an empty one, the end of a prompt, and rare characters.
const PROBES: [&str; 4] = ["", "Answer: A", " \n\ta  b'c 12", "\u{e9}\u{ad}\u{4e16}\u{1f600}\0"];

/// The file of a tokenizer that other programs read in place of `tokenizer.json`.
fn other_tokenizer(folder: &Path) -> Option<&'static str> {
    let known =
        ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "vocab.json", "vocab.txt"];
    known.into_iter().find(|file| folder.join(file).is_file())
}

type LibraryError = Box<dyn std::error::Error + Send + Sync>;

fn load(bytes: &[u8]) -> Result<tokenizers::Tokenizer, LibraryError> {
    soundness::check(bytes)?;
    guarded(|| {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes)?;
        inner.with_truncation(None)?.with_padding(None);
        Ok(inner)
    })?
}

/// The result of the library for a text or for ids, which `of` returns as text.
fn called<T>(call: impl FnOnce() -> tokenizers::Result<T>, of: impl FnOnce() -> String) -> Result<T, DataError> {
    let result = guarded(call).map_err(Into::into).flatten();
    result.map_err(|source| DataError::Tokenize { text: of().chars().take(80).collect(), source })
}
