//! Training a tokenizer for a new base model.

use std::fs;
use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, TokenizerBuilder};

use crate::{DataError, Tokenizer};

const BOS: &str = "<s>";
const EOS: &str = "</s>";

/// Trains a byte-level BPE of `vocab_size` tokens on `texts` and writes `tokenizer.json` and `tokenizer_config.json` to `folder`,
/// which is created.
///
/// Encoded texts start with `<s>`; `</s>` is the end-of-sequence token. The result depends on the texts alone.
///
/// # Errors
///
/// [`DataError::Tokenizer`] if the library cannot train on the texts, [`DataError::Io`] if a file cannot be written.
pub fn train_tokenizer<S: AsRef<str> + Send + Sync>(
    texts: &[S],
    vocab_size: usize,
    folder: &Path,
) -> Result<Tokenizer, DataError> {
    let path = folder.join("tokenizer.json");
    let unusable = |source| DataError::Tokenizer { path: path.clone(), source };
    let special = [BOS, EOS].map(|token| AddedToken::from(token, true)).to_vec();
    let template = TemplateProcessing::builder()
        .try_single(format!("{BOS} $A"))
        .map_err(|message| unusable(message.into()))?
        .special_tokens(vec![(BOS, 0)])
        .build()
        .map_err(|error| unusable(error.into()))?;
    let mut tokenizer = TokenizerBuilder::<BPE, NormalizerWrapper, ByteLevel, TemplateProcessing, ByteLevel>::new()
        .with_model(BPE::default())
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_decoder(Some(ByteLevel::default()))
        .with_post_processor(Some(template))
        .build()
        .map_err(unusable)?;
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(vocab_size)
        .special_tokens(special)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut trainer, texts.iter().map(AsRef::as_ref)).map_err(unusable)?;

    let cannot_write = |source| DataError::Io { path: path.clone(), source };
    fs::create_dir_all(folder).map_err(cannot_write)?;
    tokenizer.save(&path, true).map_err(unusable)?;
    let config = serde_json::json!({
        "bos_token": BOS, "eos_token": EOS, "pad_token": EOS, "add_bos_token": true,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    fs::write(folder.join("tokenizer_config.json"), format!("{config:#}\n")).map_err(cannot_write)?;
    Tokenizer::from_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_texts_give_the_same_file_and_survive_a_round_trip() -> Result<(), Box<dyn std::error::Error>> {
        let texts = ["the kite flew over the red barn", "the red kite fell", "a barn is not a kite"].repeat(5);
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
        let [first, second] = folders.each_ref().map(|folder| train_tokenizer(&texts, 300, folder.path()));
        let (first, _) = (first?, second?);
        let [one, other] = folders.each_ref().map(|folder| fs::read(folder.path().join("tokenizer.json")));
        assert!(one? == other?);

        let ids = first.encode_text("the red kite")?;
        assert_eq!(ids.first().copied(), first.bos());
        assert_eq!(first.decode(&ids)?, "the red kite");
        assert!(first.eos().is_some() && first.vocab_size() <= 300);
        Ok(())
    }
}
