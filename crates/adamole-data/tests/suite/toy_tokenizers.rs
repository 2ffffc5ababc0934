//! Small tokenizers of the two kinds that matter: byte-level like Llama 3, SentencePiece-like as Llama 2.

use std::path::Path;

use adamole_data::Tokenizer;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The word that stands before every letter, put together from its characters.
const ANSWER: [[&str; 2]; 5] = [["A", "n"], ["s", "w"], ["e", "r"], ["An", "sw"], ["Answ", "er"]];

/// Text to pieces as GPT-2 and Llama 3 do: words with their leading space, bytes as printable characters.
/// `letters` are the letters that make one token with a space before them.
pub(crate) fn byte_level(letters: &str) -> (TempDir, Tokenizer) {
    byte_level_with(letters, &[], true)
}

/// Like [`byte_level`], but joining across words: `!`, line break and `Answer:` to one token, and that token to one
/// with each of the `joined` letters.
pub(crate) fn joining_lines(letters: &str, joined: &[&str]) -> (TempDir, Tokenizer) {
    let mut merges = vec![["Answer", ":"], ["Ċ", "Answer:"], ["!", "ĊAnswer:"]];
    merges.extend(joined.iter().map(|letter| ["!ĊAnswer:", letter]));
    byte_level_with(letters, &merges, false)
}

fn byte_level_with(letters: &str, more: &[[&str; 2]], split_words: bool) -> (TempDir, Tokenizer) {
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
    let spaced = letters.chars().map(|letter| ["Ġ".into(), letter.to_string()]);
    let merges = strings(&ANSWER).chain(spaced).chain(strings(more));
    let byte_level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": split_words });
    load(json!({
        "pre_tokenizer": byte_level,
        "post_processor": { "type": "Sequence", "processors": [byte_level, template(&["<s>"], &[])] },
        "decoder": byte_level,
        "model": bpe(alphabet.into_iter().map(String::from), merges.collect(), false),
    }))
}

/// Text to pieces as Llama 2 does: one run of characters in which spaces are `▁`, unknown characters as bytes.
/// `after` is what the post-processor puts after the text.
pub(crate) fn sentence_piece(after: &[&str]) -> (TempDir, Tokenizer) {
    let bytes = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>"));
    let characters = ('!'..='~').chain(['▁']).map(String::from);
    let spaced = ["Answer", "A", "B", "C", "D", "E"].map(|word| ["▁", word]);
    let merges = strings(&ANSWER).chain(strings(&spaced));
    load(json!({
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ] },
        "post_processor": template(&["<s>"], after),
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" },
            { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] },
        "model": bpe(bytes.chain(characters), merges.collect(), true),
    }))
}

fn strings(merges: &[[&str; 2]]) -> impl Iterator<Item = [String; 2]> {
    merges.iter().map(|pair| pair.map(String::from))
}

/// A byte-pair encoding of three special tokens, the `characters`, and what the merges make of them.
fn bpe(characters: impl Iterator<Item = String>, merges: Vec<[String; 2]>, byte_fallback: bool) -> Value {
    let special = ["<unk>", "<s>", "</s>"].map(String::from);
    let tokens = special.into_iter().chain(characters).chain(merges.iter().map(|pair| pair.concat()));
    let vocab: serde_json::Map<String, Value> = tokens.enumerate().map(|(id, token)| (token, json!(id))).collect();
    json!({ "type": "BPE", "unk_token": "<unk>", "byte_fallback": byte_fallback, "vocab": vocab, "merges": merges })
}

fn template(before: &[&str], after: &[&str]) -> Value {
    let special = |token: &&str| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let single: Vec<Value> = before.iter().map(special).chain([text]).chain(after.iter().map(special)).collect();
    json!({ "type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {
        "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] },
        "</s>": { "id": "</s>", "ids": [2], "tokens": ["</s>"] },
    } })
}

/// Writes a tokenizer folder and loads it. What `parts` does not mention is null.
fn load(parts: Value) -> (TempDir, Tokenizer) {
    let added = |id: u32, content: &str| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    let mut tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null,
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
    });
    for (key, value) in parts.as_object().unwrap() {
        tokenizer[key] = value.clone();
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "tokenizer.json", &tokenizer);
    write(folder.path(), "tokenizer_config.json", &json!({ "bos_token": "<s>", "eos_token": { "content": "</s>" } }));
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    (folder, tokenizer)
}

pub(crate) fn write(folder: &Path, name: &str, json: &Value) {
    std::fs::write(folder.join(name), json.to_string()).unwrap();
}
