//! Tokenizer folders: where special tokens are found, and what is wrong with a bad folder.

use adamole_data::{DataError, Tokenizer};
use serde_json::json;

use crate::toy_tokenizers::{byte_level, sentence_piece, write};

#[test]
fn texts_survive_a_round_trip() {
    let text = "Question: Żółć, 3 < 4?\nAnswer: B";
    for (_folder, tokenizer) in [byte_level("AB"), sentence_piece(&["</s>"])] {
        let ids = tokenizer.encode_text(text).unwrap();
        assert_eq!(ids[0], 1, "the tokenizer's own rules put <s> first");
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    }
}

#[test]
fn the_first_file_that_mentions_a_special_token_decides() {
    let (folder, tokenizer) = byte_level("AB");
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    let special_tokens = || {
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        (tokenizer.bos(), tokenizer.eos())
    };
    write(folder.path(), "config.json", &json!({ "bos_token_id": 7, "eos_token_id": [2, 9] }));
    write(folder.path(), "tokenizer_config.json", &json!({ "bos_token": null }));
    assert_eq!(special_tokens(), (None, Some(2)));
    write(folder.path(), "special_tokens_map.json", &json!({ "eos_token": "<unk>" }));
    assert_eq!(special_tokens(), (None, Some(0)));
    for name in ["config.json", "special_tokens_map.json", "tokenizer_config.json"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    assert_eq!(special_tokens(), (None, None));
}

#[test]
fn a_special_token_outside_the_vocabulary_is_an_error() {
    let (folder, _) = byte_level("AB");
    write(folder.path(), "tokenizer_config.json", &json!({ "eos_token": "<|end|>" }));
    let error = Tokenizer::from_folder(folder.path()).unwrap_err();
    assert!(matches!(&error, DataError::SpecialToken { key: "eos_token", .. }), "{error}");
    assert!(error.to_string().contains("<|end|>"), "{error}");
}

#[test]
fn a_folder_without_a_usable_tokenizer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::from_folder(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("tokenizer.json does not exist; its folder is empty"), "{error}");
    write(folder.path(), "tokenizer.json", &json!({ "model": 3 }));
    let error = Tokenizer::from_folder(folder.path()).unwrap_err();
    assert!(matches!(error, DataError::Tokenizer { .. }), "{error}");
}

#[test]
fn truncation_and_padding_of_the_file_are_off() {
    let (folder, _) = byte_level("AB");
    let path = folder.path().join("tokenizer.json");
    let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    file["truncation"] = json!({ "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0 });
    file["padding"] = json!({ "strategy": { "Fixed": 64 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>" });
    write(folder.path(), "tokenizer.json", &file);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.encode_text("Answer: ABC").unwrap().len(), 6); // <s> Answer : ĠA B C
}

#[test]
fn what_the_library_panics_on_is_no_usable_tokenizer() {
    let (folder, _) = byte_level("AB");
    let path = folder.path().join("tokenizer.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    for (part, value) in [
        ("normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "BAAAAP////8A" })),
        ("normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "/////w==" })),
        ("pre_tokenizer", json!({ "type": "FixedLength", "length": 0 })),
        ("decoder", json!({ "type": "Strip", "content": "a", "start": 0, "stop": 9 })),
        (
            "post_processor",
            json!({ "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "X", "type_id": 0 } }, text], "pair": [], "special_tokens": {} }),
        ),
    ] {
        let mut crafted = file.clone();
        crafted[part] = value;
        write(folder.path(), "tokenizer.json", &crafted);
        let error = Tokenizer::from_folder(folder.path()).unwrap_err();
        assert!(matches!(error, DataError::Tokenizer { .. }), "{part}: {error}");
    }
    std::fs::remove_file(&path).unwrap();
    write(folder.path(), "vocab.json", &json!({}));
    let error = Tokenizer::from_folder(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("has vocab.json but no tokenizer.json, which is what is read"), "{error}");
}
