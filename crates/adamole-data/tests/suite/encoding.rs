//! Items to token ids: the answer's token stands where scoring asks for it, with every kind of tokenizer.

use adamole_data::{Choice, DataError, EncodeOptions, Encoder, Item, Tokenizer};
use proptest::prelude::*;

use crate::toy_tokenizers::{byte_level, joining_lines, sentence_piece};

const EOS: u32 = 2;

fn item(question: &str, letters: &str, answer: Option<usize>) -> Item {
    Item {
        id: 1,
        prompt: format!("{question}\nAnswer:"),
        choices: letters.chars().map(|c| Choice { letter: c.into(), text: String::new() }).collect(),
        answer,
    }
}

fn options(max_tokens: usize, append_eos: bool) -> EncodeOptions {
    EncodeOptions { max_tokens, append_eos }
}

/// What must hold of every item: each letter's whole text, tokenised on its own, is the prompt and the letter's token.
fn assert_aligned(tokenizer: &Tokenizer, items: &[Item]) {
    let encoder = Encoder::new(tokenizer, &options(usize::MAX, false)).unwrap();
    for (i, (item, example)) in items.iter().zip(encoder.encode(items).unwrap()).enumerate() {
        assert_eq!((example.item, example.answer, example.truncated), (i, item.answer, false));
        for (choice, &id) in item.choices.iter().zip(&example.choice_ids) {
            let mut text = tokenizer.encode_text(&format!("{} {}", item.prompt, choice.letter)).unwrap();
            if text.last() == Some(&EOS) {
                text.pop();
            }
            assert_eq!(text, [&example.ids[..example.prompt_len], &[id]].concat());
        }
        let answer = item.answer.map(|answer| example.choice_ids[answer]);
        assert_eq!(example.ids.get(example.prompt_len).copied(), answer);
    }
}

#[test]
fn both_kinds_of_tokenizer_are_aligned() {
    let items = [
        item("Question: is it so?", "AB", Some(1)),
        item("Passage: Żółć – 猫.\nQuestion: which one?", "ABCDE", Some(4)),
        item("", "ABC", None),
    ];
    for (_folder, tokenizer) in [byte_level("ABCDE"), sentence_piece(&[]), sentence_piece(&["</s>"])] {
        assert_aligned(&tokenizer, &items);
    }
}

#[test]
fn a_space_that_is_a_token_of_its_own_belongs_to_the_prompt() {
    let (_folder, tokenizer) = byte_level("");
    let items = [item("Q", "AB", Some(0))];
    assert_aligned(&tokenizer, &items);
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let example = encoder.encode(&items).unwrap().remove(0);
    assert_eq!(tokenizer.decode(&example.ids[..example.prompt_len]).unwrap(), "Q\nAnswer: ");
}

#[test]
fn a_text_ends_in_one_end_of_sequence_or_none() {
    for after in [&[][..], &["</s>"], &["</s>", "</s>"]] {
        let (_folder, tokenizer) = sentence_piece(after);
        let items = [item("Q", "AB", Some(0)), item("Q", "AB", None)];
        let ids = |append_eos| {
            let examples = Encoder::new(&tokenizer, &options(256, append_eos)).unwrap().encode(&items).unwrap();
            (examples[0].ids[examples[0].prompt_len + 1..].to_vec(), examples[1].ids.contains(&EOS))
        };
        assert_eq!(ids(true), (vec![EOS], false));
        assert_eq!(ids(false), (vec![], false));
    }
}

#[test]
fn letters_that_are_not_alike_are_an_error() {
    let (_folder, tokenizer) = byte_level("AB"); // " C" is two tokens
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let items = [item("Q", "AB", Some(0)), Item { id: 17, ..item("Q", "ABC", Some(0)) }];
    let error = encoder.encode(&items).unwrap_err();
    assert!(matches!(&error, DataError::Unaligned { line: 17, letter, .. } if letter == "C"), "{error}");
    let message = error.to_string();
    assert!(message.contains(r#"last tokens are [":", "Ġ", "C"], those of letter A are [":", "ĠA"]"#), "{message}");
    // The item that has no C is none the worse for the one that has.
    assert_aligned(&tokenizer, &items[..1]);
}

#[test]
fn a_prompt_whose_end_is_unlike_the_others_is_looked_at_whole() {
    // After "!" every letter makes one token with the whole last line; after "." it does not.
    let items = [item("Really!", "AB", Some(1)), item("Really.", "AB", Some(1))];
    let (_folder, tokenizer) = joining_lines("AB", &["ĠA", "ĠB"]);
    assert_aligned(&tokenizer, &items);
    // Only " B" joins the line, which the answer "A" does not show.
    let (_folder, tokenizer) = joining_lines("AB", &["ĠB"]);
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let error = encoder.encode(&[item("Really!", "AB", Some(0))]).unwrap_err();
    assert!(matches!(error, DataError::Unaligned { .. }), "{error}");
}

#[test]
fn letters_that_share_a_token_are_an_error() {
    let (_folder, tokenizer) = byte_level("AB");
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let error = encoder.encode(&[item("Q", "ABA", Some(0))]).unwrap_err();
    assert!(matches!(error, DataError::Unaligned { .. }), "{error}");
}

#[test]
fn impossible_requests_are_errors() {
    let (folder, tokenizer) = byte_level("AB");
    let encoder = Encoder::new(&tokenizer, &options(3, true)).unwrap();
    let error = encoder.encode(&[item("Q", "AB", Some(0))]).unwrap_err();
    assert!(matches!(error, DataError::MaxTokens { max_tokens: 3, least: 4 }), "{error}");
    for bad in [item("Q", "A", Some(0)), item("Q", "AB", Some(2))] {
        let error = encoder.encode(&[bad]).unwrap_err();
        assert!(matches!(error, DataError::InvalidItem { .. }), "{error}");
    }
    std::fs::remove_file(folder.path().join("tokenizer_config.json")).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let error = Encoder::new(&tokenizer, &options(256, true)).unwrap_err();
    assert!(matches!(error, DataError::NoEndOfSequence), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn truncation_never_loses_the_answer(
        question in "[ -~\nżó猫]{0,200}", answer in prop::option::of(0..3_usize), max_tokens in 4..80_usize,
    ) {
        for (_folder, tokenizer) in [byte_level("ABC"), sentence_piece(&[])] {
            let items = [item(&question, "ABC", answer)];
            let encode = |max| Encoder::new(&tokenizer, &options(max, true)).unwrap().encode(&items).unwrap().remove(0);
            let (whole, cut) = (encode(usize::MAX), encode(max_tokens));
            prop_assert!(cut.ids.len() <= max_tokens);
            prop_assert_eq!(cut.truncated, cut.prompt_len < whole.prompt_len);
            prop_assert_eq!(&cut.choice_ids, &whole.choice_ids);
            // The beginning of sequence and the end of the text are those of the whole text.
            prop_assert_eq!(cut.ids[0], 1);
            prop_assert!(whole.ids.ends_with(&cut.ids[1..]));
            if let Some(answer) = answer {
                prop_assert_eq!(&cut.ids[cut.prompt_len..], &[whole.choice_ids[answer], EOS]);
            }
        }
    }

    #[test]
    fn any_question_is_aligned(question in "[ -~\nżó猫]{0,60}", answer in prop::option::of(0..3_usize)) {
        for (_folder, tokenizer) in [byte_level("ABC"), sentence_piece(&["</s>"])] {
            assert_aligned(&tokenizer, &[item(&question, "ABC", answer)]);
        }
    }
}
