//! Items to token ids: the answer's token stands where scoring asks for it, with every kind of tokenizer.

use adamole_data::{
    Choice, DataError, EncodeOptions, Encoder, Example, MultipleChoice, Scoring, Tokenizer, Truncation,
};
use proptest::prelude::*;

use crate::toy_tokenizers::{byte_level, joining_lines, sentence_piece};

const EOS: u32 = 2;

fn item(question: &str, letters: &str, answer: Option<usize>) -> MultipleChoice {
    MultipleChoice {
        benchmark: "test".into(),
        row: 1,
        passage: None,
        prompt: format!("{question}\nAnswer:"),
        choices: letters.chars().map(|c| Choice { letter: c.into(), text: String::new() }).collect(),
        answer,
    }
}

fn options(max_tokens: usize, append_eos: bool) -> EncodeOptions {
    EncodeOptions { max_tokens, append_eos, ..EncodeOptions::default() }
}

/// What must hold of every item: each letter's whole text, tokenised on its own, is the prompt and the letter's token.
fn assert_aligned(tokenizer: &Tokenizer, items: &[MultipleChoice]) {
    let encoder = Encoder::new(tokenizer, &options(usize::MAX, false)).unwrap();
    for (i, (item, example)) in items.iter().zip(encoder.encode(items).unwrap()).enumerate() {
        assert_eq!((example.item, example.answer, example.truncated), (i, item.answer, false));
        for (choice, &id) in item.choices.iter().zip(&example.choice_ids) {
            let mut text = tokenizer.encode_text(&format!("{} {}", item.prompt, choice.letter)).unwrap();
            if text.last() == Some(&EOS) {
                text.pop();
            }
            assert_eq!(text, [example.prompt.as_slice(), &[id]].concat());
        }
        let answer = item.answer.map(|answer| example.choice_ids[answer]);
        assert_eq!(example.answer_at.map(|at| example.text[at]), answer);
        assert!(example.text.starts_with(&example.prompt));
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
    assert_eq!(tokenizer.decode(&example.prompt).unwrap(), "Q\nAnswer: ");
}

#[test]
fn a_text_ends_in_one_end_of_sequence_or_none() {
    for after in [&[][..], &["</s>"], &["</s>", "</s>"]] {
        let (_folder, tokenizer) = sentence_piece(after);
        let items = [item("Q", "AB", Some(0)), item("Q", "AB", None)];
        let ids = |append_eos| {
            let examples = Encoder::new(&tokenizer, &options(256, append_eos)).unwrap().encode(&items).unwrap();
            (examples[0].text[examples[0].answer_at.unwrap() + 1..].to_vec(), examples[1].text.contains(&EOS))
        };
        assert_eq!(ids(true), (vec![EOS], false));
        assert_eq!(ids(false), (vec![], false));
    }
}

#[test]
fn letters_that_are_not_alike_are_an_error() {
    let (_folder, tokenizer) = byte_level("AB"); // " C" is two tokens
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let items = [item("Q", "AB", Some(0)), MultipleChoice { row: 17, ..item("Q", "ABC", Some(0)) }];
    let error = encoder.encode(&items).unwrap_err();
    assert!(matches!(&error, DataError::Unaligned { row: 17, letter, .. } if letter == "C"), "{error}");
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

/// An item with a passage of `words` words.
fn with_passage(words: usize, answer: Option<usize>) -> MultipleChoice {
    let passage = vec!["word"; words].join(" ");
    let start = "Passage: ".len();
    let prompt = format!("Passage: {passage}\nQuestion: which?\nChoices:\nA. a\nB. b\nAnswer:");
    let passage = Some(start..start + passage.len());
    MultipleChoice { prompt, passage, ..item("", "AB", answer) }
}

#[test]
fn a_long_passage_loses_its_end_and_the_rest_stays() {
    for (_folder, tokenizer) in [byte_level("AB"), sentence_piece(&[])] {
        let items = [with_passage(60, Some(1)), with_passage(60, None)];
        let encode = |max| Encoder::new(&tokenizer, &options(max, true)).unwrap().encode(&items).unwrap();
        let least = encode(usize::MAX)[0].text.len() - 200;
        for example in encode(least) {
            assert!(example.truncated && example.text.len() <= least);
            let prompt = tokenizer.decode(&example.prompt).unwrap();
            assert!(prompt.starts_with("Passage: word word"), "{prompt}");
            assert!(prompt.ends_with("\nQuestion: which?\nChoices:\nA. a\nB. b\nAnswer:"), "{prompt}");
            assert!(example.text.starts_with(&example.prompt));
        }
        assert_eq!(encode(least)[0].text.len(), least);
        // With less room than the rest takes, the front goes too, and the answer still stays.
        let example = encode(12).remove(0);
        assert_eq!((example.text.len(), example.answer_at), (12, Some(10)));
    }
}

#[test]
fn published_truncation_takes_the_answer_of_a_long_item() {
    let (_folder, tokenizer) = sentence_piece(&[]);
    let options = EncodeOptions { max_tokens: 40, truncation: Truncation::Right, ..EncodeOptions::default() };
    let encoder = Encoder::new(&tokenizer, &options).unwrap();
    let items = [with_passage(60, Some(1)), item("Q", "AB", Some(1))];
    let [long, short] = <[Example; 2]>::try_from(encoder.encode(&items).unwrap()).unwrap();
    assert_eq!((long.text.len(), long.answer_at, long.truncated), (40, None, true));
    let whole = tokenizer.encode_text(&items[0].text().unwrap()).unwrap();
    assert_eq!((&long.text[..39], long.text[39]), (&whole[..39], EOS));
    // Evaluation is not truncated.
    assert_eq!(long.prompt, whole[..whole.len() - 1]);
    assert_eq!((short.answer_at, short.truncated), (Some(short.prompt.len()), false));
}

#[test]
fn reference_scoring_asks_after_the_space_for_the_letter_alone() {
    let (_folder, tokenizer) = sentence_piece(&[]);
    let aligned = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let options = EncodeOptions { scoring: Scoring::Reference { letters: 4 }, ..EncodeOptions::default() };
    let reference = Encoder::new(&tokenizer, &options).unwrap();
    let numbered = MultipleChoice { choices: item("", "12", None).choices, ..item("Q", "AB", Some(1)) };
    let items = [item("Q", "AB", Some(1)), item("Q", "AB", None)];
    let (ours, theirs) = (aligned.encode(&items).unwrap(), reference.encode(&items).unwrap());
    assert_eq!(theirs[0].text, ours[0].text);
    // "Answer: " ends in a piece that is the space alone.
    let space = theirs[0].prompt[ours[0].prompt.len()];
    assert_eq!(theirs[0].prompt, [ours[0].prompt.as_slice(), &[space]].concat());
    assert_eq!(tokenizer.decode(&[space]).unwrap(), "");
    assert_eq!((theirs[0].choice_ids.len(), theirs[0].answer, theirs[1].answer), (4, Some(1), None));
    assert_eq!(theirs[0].choice_ids[..2], ours[0].choice_ids);
    // Items whose choices are numbered can't be answered.
    assert_eq!(reference.encode(&[numbered]).unwrap()[0].answer, Some(4));
}

#[test]
fn what_was_encoded_is_found_again() {
    let (_folder, tokenizer) = sentence_piece(&[]);
    let cache = tempfile::tempdir().unwrap();
    let told = std::sync::atomic::AtomicUsize::new(0);
    let tell = |done: usize, _: usize| told.store(done, std::sync::atomic::Ordering::Relaxed);
    let encode = |items: &[MultipleChoice], options: &EncodeOptions| {
        told.store(0, std::sync::atomic::Ordering::Relaxed);
        let encoder = Encoder::new(&tokenizer, options).unwrap().cached_in(cache.path()).on_progress(&tell);
        (encoder.encode(items).unwrap(), told.load(std::sync::atomic::Ordering::Relaxed))
    };
    let files = || std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let items = [item("One?", "AB", Some(0)), item("Two?", "ABC", None), with_passage(300, Some(1))];
    let default = EncodeOptions::default();
    let first = encode(&items, &default);
    assert_eq!((first.1, files().len()), (3, 1));
    assert_eq!(encode(&items, &default), (first.0.clone(), 0), "told of no work");
    // Another text, another answer, another option, another order: other files.
    let other = [item("One!", "AB", Some(0)), item("Two?", "ABC", None), with_passage(300, Some(1))];
    assert_eq!(encode(&other, &default).1, 3);
    assert_eq!(encode(&[item("One?", "AB", Some(1))], &default).1, 1);
    assert_eq!(encode(&items, &options(200, true)).1, 3);
    assert_eq!(encode(&[items[1].clone(), items[0].clone()], &default).1, 2);
    // A damaged file is as good as none, wherever the damage is.
    for path in files() {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 3]).unwrap();
    }
    assert_eq!(encode(&items, &default), first);
    // A folder that cannot be is no reason to fail.
    let blocked = files()[0].join("below a file");
    let encoder = Encoder::new(&tokenizer, &default).unwrap().cached_in(&blocked);
    assert_eq!(encoder.encode(&items).unwrap(), first.0);
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
            prop_assert!(cut.text.len() <= max_tokens);
            prop_assert_eq!(cut.truncated, cut.prompt.len() < whole.prompt.len());
            prop_assert_eq!(&cut.choice_ids, &whole.choice_ids);
            // The beginning of sequence and the end of the text are those of the whole text.
            prop_assert_eq!(cut.text[0], 1);
            prop_assert!(whole.text.ends_with(&cut.text[1..]));
            if let Some(answer) = answer {
                prop_assert_eq!(&cut.text[cut.prompt.len()..], &[whole.choice_ids[answer], EOS]);
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
