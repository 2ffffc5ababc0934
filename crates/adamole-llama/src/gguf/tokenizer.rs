//! The tokenizer of a model as metadata, from `tokenizer.json`: byte-level BPE (`gpt2`), or BPE over the signs of
//! SentencePiece with bytes for unknown ones (`llama`).

use super::{
    GgufSource,
    container::{Metadata, Value},
    pre_tokenizer,
    token_texts::{Token, TokenKind, tokens},
};
use crate::{ModelError, ModelWarning, regular_file};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

/// The sign of SentencePiece for a space.
const SPACE: &str = "▁";

/// The fields of `tokenizer.json`.
#[derive(Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Json,
    #[serde(default)]
    pre_tokenizer: Json,
    #[serde(default)]
    post_processor: Json,
    pub(super) model: Bpe,
}

/// A token that is found in texts before anything else.
#[derive(Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    pub(super) special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
}

/// The model of the tokenizer.
#[derive(Deserialize)]
pub(super) struct Bpe {
    #[serde(rename = "type", default = "bpe")]
    kind: String,
    pub(super) vocab: HashMap<String, u32>,
    #[serde(default)]
    merges: Vec<Merge>,
    #[serde(default)]
    pub(super) byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    pub(super) unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

fn bpe() -> String {
    "BPE".into()
}

/// Two tokens that become one, in both spellings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(String),
    Pair([String; 2]),
}

impl Merge {
    fn pair(&self) -> Option<(&str, &str)> {
        match self {
            Self::Text(text) => text.split_once(' '),
            Self::Pair([left, right]) => Some((left, right)),
        }
    }
}

/// Adds the tokenizer of the folder, for a model with so many rows in its embedding. Returns what llama.cpp does in another
/// way.
///
/// # Errors
/// The tokenizer is of neither kind, or encodes texts in another way than llama.cpp would.
pub(super) fn add(
    source: &GgufSource<'_>,
    rows: usize,
    metadata: &mut Metadata,
) -> Result<Vec<ModelWarning>, ModelError> {
    let path = source.folder.join("tokenizer.json");
    let text = regular_file::read_to_string(&path)?;
    let file: File = serde_json::from_str(&text).map_err(ModelError::json(&path))?;
    let refused = |field: &str, value: String, expected: &str| ModelError::not_in_gguf(&path, field, value, expected);
    if file.model.kind != "BPE" {
        return Err(refused("model.type", file.model.kind, "BPE"));
    }
    for (field, affix) in [
        ("model.continuing_subword_prefix", &file.model.continuing_subword_prefix),
        ("model.end_of_word_suffix", &file.model.end_of_word_suffix),
    ] {
        if let Some(affix) = affix.as_ref().filter(|affix| !affix.is_empty()) {
            return Err(refused(field, affix.clone(), "none"));
        }
    }
    let mut warnings = Vec::new();
    let with_affixes = file.added_tokens.iter().filter(|token| token.lstrip || token.rstrip || token.single_word);
    if let Some(token) = with_affixes.into_iter().next() {
        let what = format!("{} takes spaces or words around it into account, llama.cpp does not", token.content);
        warnings.push(ModelWarning { path: path.clone(), what });
    }
    let tokens = tokens(&file, rows, &path)?;
    match file.model.byte_fallback {
        true => add_sentence_pieces(&file, &tokens, &path, metadata, &mut warnings)?,
        false => add_bytes(&file, &tokens, &path, metadata)?,
    }
    add_special(&file, source, &tokens, &path, metadata)?;
    if let Some(template) = source.chat_template {
        metadata.text("tokenizer.chat_template", template);
    }
    Ok(warnings)
}

/// Texts and kinds of the tokens.
fn add_tokens(tokens: &[Token], metadata: &mut Metadata) {
    metadata.set("tokenizer.ggml.tokens", Value::Texts(tokens.iter().map(|token| token.text.clone()).collect()));
    metadata.set("tokenizer.ggml.token_type", Value::Integers(tokens.iter().map(|token| token.kind as i32).collect()));
}

/// Byte-level BPE.
fn add_bytes(file: &File, tokens: &[Token], path: &Path, metadata: &mut Metadata) -> Result<(), ModelError> {
    if !file.normalizer.is_null() {
        return Err(ModelError::not_in_gguf(path, "normalizer", &file.normalizer, "none"));
    }
    let Some(rule) = pre_tokenizer::rule(&file.pre_tokenizer) else {
        let expected = "that of GPT-2, of SmolLM or of Llama 3";
        return Err(ModelError::not_in_gguf(path, "pre_tokenizer", &file.pre_tokenizer, expected));
    };
    if rule.ignores_merges != file.model.ignore_merges {
        let expected = format!("{} with the pre_tokenizer {}", rule.ignores_merges, rule.name);
        return Err(ModelError::not_in_gguf(path, "model.ignore_merges", file.model.ignore_merges, expected));
    }
    metadata.text("tokenizer.ggml.model", "gpt2");
    metadata.text("tokenizer.ggml.pre", rule.name);
    add_tokens(tokens, metadata);
    let merges = file.model.merges.iter().map(|merge| match merge.pair() {
        Some((left, right)) if !left.contains(' ') && !right.contains(' ') => Ok(format!("{left} {right}")),
        _ => Err(ModelError::not_in_gguf(path, "model.merges", "a pair with a space", "pairs without spaces")),
    });
    metadata.set("tokenizer.ggml.merges", Value::Texts(merges.collect::<Result<_, _>>()?));
    Ok(())
}

/// BPE over the signs of SentencePiece. llama.cpp merges the neighbours whose union is the token with the highest score,
/// where `tokenizer.json` has a list of merges: scores follow the first merge of each token.
fn add_sentence_pieces(
    file: &File,
    tokens: &[Token],
    path: &Path,
    metadata: &mut Metadata,
    warnings: &mut Vec<ModelWarning>,
) -> Result<(), ModelError> {
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let prepended = json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, spaces]});
    let scheme = file.pre_tokenizer["prepend_scheme"].as_str().unwrap_or_default();
    let is_metaspace = file.normalizer.is_null()
        && file.pre_tokenizer["type"] == "Metaspace"
        && file.pre_tokenizer["replacement"] == SPACE
        && file.pre_tokenizer["split"] == false;
    let has_prefix = match (&file.normalizer, &file.pre_tokenizer) {
        (normalizer, Json::Null) if *normalizer == prepended => true,
        (normalizer, Json::Null) if *normalizer == spaces => false,
        _ if is_metaspace && scheme == "always" => true,
        _ if is_metaspace && scheme == "never" => false,
        _ if is_metaspace && scheme == "first" => {
            let what = "a space is put before a text, and by llama.cpp also after special tokens within it";
            warnings.push(ModelWarning { path: path.to_owned(), what: what.into() });
            true
        }
        (Json::Null, other) | (other, _) => {
            let expected = "the spaces of SentencePiece (Prepend and Replace, or Metaspace)";
            return Err(ModelError::not_in_gguf(path, "normalizer and pre_tokenizer", other, expected));
        }
    };
    let merges = merges(file, path)?;
    check_complete(file, &merges, path)?;
    let mut ranks: HashMap<String, usize> = HashMap::new();
    for (left, right) in merges {
        let rank = ranks.len();
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let unmerged = ranks.len();
    let score = |token: &Token| match token.kind {
        TokenKind::Normal => -(ranks.get(&token.text).copied().unwrap_or(unmerged) as f32),
        _ => 0.0,
    };
    metadata.text("tokenizer.ggml.model", "llama");
    metadata.text("tokenizer.ggml.pre", "default");
    add_tokens(tokens, metadata);
    metadata.set("tokenizer.ggml.scores", Value::Floats(tokens.iter().map(score).collect()));
    metadata.set("tokenizer.ggml.add_space_prefix", Value::Bool(has_prefix));
    Ok(())
}

fn merges<'a>(file: &'a File, path: &Path) -> Result<Vec<(&'a str, &'a str)>, ModelError> {
    let pairs = file.model.merges.iter().map(Merge::pair).collect::<Option<Vec<_>>>();
    pairs.ok_or_else(|| ModelError::not_in_gguf(path, "model.merges", "a text without a space", "pairs of tokens"))
}

/// Checks that every two tokens whose union is a token are a merge, which llama.cpp takes for granted.
fn check_complete(file: &File, merges: &[(&str, &str)], path: &Path) -> Result<(), ModelError> {
    let known: HashSet<(&str, &str)> = merges.iter().copied().collect();
    let added: HashSet<&str> = file.added_tokens.iter().map(|token| token.content.as_str()).collect();
    let vocabulary = &file.model.vocab;
    for text in vocabulary.keys().filter(|text| !added.contains(text.as_str()) && !is_byte(text)) {
        let splits = text.char_indices().skip(1).map(|(middle, _)| text.split_at(middle));
        for (left, right) in splits {
            if vocabulary.contains_key(left) && vocabulary.contains_key(right) && !known.contains(&(left, right)) {
                let value = format!("without \"{left} {right}\"");
                return Err(ModelError::not_in_gguf(path, "model.merges", value, "all pairs whose union is a token"));
            }
        }
    }
    Ok(())
}

/// Whether a token stands for a byte, as `<0x0A>`.
pub(super) fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The special tokens, and which of them are put around every text.
fn add_special(
    file: &File,
    source: &GgufSource<'_>,
    tokens: &[Token],
    path: &Path,
    metadata: &mut Metadata,
) -> Result<(), ModelError> {
    let Some(eos) = source.eos else {
        return Err(ModelError::not_in_gguf(path, "the end-of-sequence token", "absent", "a token of the vocabulary"));
    };
    let [before, after] = around(&file.post_processor, &file.model.vocab, &file.added_tokens).ok_or_else(|| {
        let expected = "none, or a template with special tokens around one text";
        ModelError::not_in_gguf(path, "post_processor", &file.post_processor, expected)
    })?;
    let begins = match (before.as_slice(), source.bos) {
        ([], _) => false,
        ([first], Some(bos)) if *first == bos => true,
        (other, bos) => {
            let expected = format!("no more than the beginning-of-sequence token, {bos:?}");
            return Err(ModelError::not_in_gguf(path, "post_processor", format!("{other:?} before a text"), expected));
        }
    };
    let ends = match after.as_slice() {
        [] => false,
        [last] if *last == eos => true,
        other => {
            let expected = format!("no more than the end-of-sequence token, {eos}");
            return Err(ModelError::not_in_gguf(path, "post_processor", format!("{other:?} after a text"), expected));
        }
    };
    let unknown = tokens.iter().position(|token| token.kind == TokenKind::Unknown);
    for (name, id) in [("bos", source.bos), ("eos", Some(eos)), ("unknown", unknown.map(|id| id as u32))] {
        if let Some(id) = id {
            metadata.set(format!("tokenizer.ggml.{name}_token_id"), Value::U32(id));
        }
    }
    metadata.set("tokenizer.ggml.add_bos_token", Value::Bool(begins));
    metadata.set("tokenizer.ggml.add_eos_token", Value::Bool(ends));
    Ok(())
}

/// The special tokens before and after a text; `None` if the rule is not understood.
fn around(rule: &Json, vocab: &HashMap<String, u32>, added: &[AddedToken]) -> Option<[Vec<u32>; 2]> {
    let none = || Some([Vec::new(), Vec::new()]);
    if rule.is_null() {
        return none();
    }
    match rule["type"].as_str()? {
        "ByteLevel" => none(),
        "Sequence" => {
            let mut both = [Vec::new(), Vec::new()];
            for step in rule["processors"].as_array()? {
                let [before, after] = around(step, vocab, added)?;
                both[0].splice(0..0, before);
                both[1].extend(after);
            }
            Some(both)
        }
        "TemplateProcessing" => {
            let (mut both, mut texts) = ([Vec::new(), Vec::new()], 0);
            for piece in rule["single"].as_array()? {
                if let Some(token) = piece["SpecialToken"]["id"].as_str() {
                    let own = added.iter().find(|added| added.content == token).map(|added| added.id);
                    both[texts.min(1)].push(own.or_else(|| vocab.get(token).copied())?);
                } else {
                    texts += usize::from(piece.get("Sequence").is_some());
                }
            }
            (texts == 1).then_some(both)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_around_a_text_are_found() {
        let vocab = HashMap::from([("<s>".to_owned(), 1), ("</s>".to_owned(), 2)]);
        let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let template = |single: &[Json]| json!({"type": "TemplateProcessing", "single": single});
        let bytes = json!({"type": "ByteLevel", "trim_offsets": true});
        let found = |rule: &Json| around(rule, &vocab, &[]);
        assert_eq!(found(&Json::Null), Some([vec![], vec![]]));
        let both = template(&[special("<s>"), text.clone(), special("</s>")]);
        assert_eq!(found(&both), Some([vec![1], vec![2]]));
        let sequence = json!({"type": "Sequence", "processors": [bytes, template(&[special("<s>"), text.clone()])]});
        assert_eq!(found(&sequence), Some([vec![1], vec![]]));
        assert_eq!(found(&template(&[special("<x>"), text])), None);
        assert_eq!(found(&json!({"type": "BertProcessing"})), None);
    }

    #[test]
    fn bytes_are_recognised() {
        assert!(is_byte("<0x0A>") && !is_byte("<0x0>") && !is_byte("<0xZZ>") && !is_byte("0x0A"));
    }
}
