//! Text streams over tokenizers of both kinds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole_data::Tokenizer;
use adamole_generate::TextStream;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::{path::Path, sync::LazyLock};

/// The byte-level tokenizer of the shipped base.
static BYTE_LEVEL: LazyLock<Tokenizer> = LazyLock::new(|| {
    Tokenizer::from_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base")).unwrap()
});

/// As that of Llama 2: spaces are `▁`, one stands before the first word, unknown characters are bytes.
static SENTENCE_PIECE: LazyLock<Tokenizer> = LazyLock::new(|| {
    let bytes = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>"));
    let special = ["<unk>", "<s>", "</s>"].map(String::from);
    let tokens = special.into_iter().chain(bytes).chain(('a'..='z').chain(['▁']).map(String::from));
    let vocab: Map<String, Value> =
        tokens.chain(["▁a".into()]).zip(0..).map(|(token, id)| (token, json!(id))).collect();
    let added = [(0, "<unk>"), (1, "<s>"), (2, "</s>")].map(|(id, content)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    });
    let space = json!({ "String": "▁" });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "pre_tokenizer": null,
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ] },
        "post_processor": null,
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": space, "content": " " }, { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] },
        "model": { "type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "vocab": vocab, "merges": [["▁", "a"]] },
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"bos_token": "<s>", "eos_token": "</s>"}"#)
        .unwrap();
    Tokenizer::from_folder(folder.path()).unwrap()
});

fn pieces(mut stream: TextStream<'_>, ids: &[u32]) -> Vec<String> {
    let mut pieces: Vec<String> = ids.iter().map(|id| stream.push(*id).unwrap()).collect();
    pieces.push(stream.finish().unwrap());
    pieces
}

#[test]
fn a_character_of_several_tokens_comes_with_the_last_of_them() {
    for tokenizer in [&*BYTE_LEVEL, &*SENTENCE_PIECE] {
        let ids = tokenizer.encode_text("a 😀b").unwrap();
        let pieces = pieces(TextStream::new(tokenizer), &ids);
        assert_eq!(pieces.concat(), "a 😀b");
        assert!(pieces.iter().any(|piece| piece.contains('😀')), "{pieces:?}");
        assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{pieces:?}");
    }
}

#[test]
fn the_space_before_the_first_word_belongs_to_a_continuation_and_not_to_an_answer() {
    let tokenizer = &*SENTENCE_PIECE;
    let (prompt, word) = (tokenizer.encode_text("nail and").unwrap(), tokenizer.encode_text("a hm").unwrap());
    let answer = pieces(TextStream::new(tokenizer), &word);
    assert_eq!(answer, ["a", " ", "h", "m", ""]);
    let continuation = pieces(TextStream::after(tokenizer, &prompt).unwrap(), &word);
    assert_eq!(continuation, [" a", " ", "h", "m", ""]);
}

#[test]
fn special_tokens_are_not_shown() {
    let tokenizer = &*SENTENCE_PIECE;
    let mut ids = tokenizer.encode_text("ab").unwrap();
    ids.insert(1, 1);
    ids.push(2);
    assert_eq!(pieces(TextStream::new(tokenizer), &ids), ["a", "", "b", "", ""]);
}

#[test]
fn a_text_that_ends_within_a_character_shows_it() {
    let tokenizer = &*SENTENCE_PIECE;
    let ids = tokenizer.encode_text("a😀").unwrap();
    let text = pieces(TextStream::new(tokenizer), &ids[..ids.len() - 1]).concat();
    assert!(text.starts_with("a\u{fffd}"), "{text}");
    // A byte that makes sense, then some that do not: what was shown is not taken back.
    let bytes = tokenizer.encode_text("\n😀").unwrap();
    let newline = bytes.iter().position(|id| *id == 3 + 0x0a).unwrap();
    let text = pieces(TextStream::new(tokenizer), &bytes[newline..newline + 2]).concat();
    assert_eq!(text, "\n\u{fffd}");
}

proptest! {
    #[test]
    fn the_pieces_of_a_text_make_it_up(text in "[a-z ]{0,12}[é😀世\n]{0,3}[a-z ]{0,8}", prompt in "[a-z ]{1,8}") {
        for tokenizer in [&*BYTE_LEVEL, &*SENTENCE_PIECE] {
            let (ids, prompt) = (tokenizer.encode_text(&text).unwrap(), tokenizer.encode_text(&prompt).unwrap());
            prop_assert_eq!(pieces(TextStream::new(tokenizer), &ids).concat(), tokenizer.decode(&ids).unwrap());
            let both = [&prompt[..], &ids].concat();
            let after = pieces(TextStream::after(tokenizer, &prompt).unwrap(), &ids).concat();
            prop_assert_eq!(tokenizer.decode(&prompt).unwrap() + &after, tokenizer.decode(&both).unwrap());
        }
    }

    #[test]
    fn any_tokens_of_bytes_have_the_text_of_all_together(ids in prop::collection::vec(0_u32..1500, 0..30)) {
        let ids: Vec<u32> = ids.into_iter().filter(|id| (*id as usize) < BYTE_LEVEL.vocab_size()).collect();
        prop_assert_eq!(pieces(TextStream::new(&BYTE_LEVEL), &ids).concat(), BYTE_LEVEL.decode(&ids).unwrap());
    }
}
