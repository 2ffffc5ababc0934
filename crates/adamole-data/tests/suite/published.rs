//! Token ids, truncation and prompts of the published code, for the tokenizer in `tests/tokenize`.

use std::path::Path;

use adamole_data::{Choice, EncodeOptions, Encoder, Example, MultipleChoice, Scoring, Tokenizer, Truncation};
use serde_json::Value;

const EOS: u32 = 2;

fn tokenizer() -> Tokenizer {
    Tokenizer::from_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokenize")).unwrap()
}

fn cases(part: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokenize/cases.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    cases[part].as_array().unwrap().clone()
}

/// An item with the choices A to D, and with its answer where that is none of them.
fn item(prompt: &str, answer: Option<&str>) -> MultipleChoice {
    let mut letters = vec!["A", "B", "C", "D"];
    letters.extend(answer.filter(|answer| !letters.contains(answer)));
    MultipleChoice {
        benchmark: "test".into(),
        row: 1,
        prompt: prompt.into(),
        passage: None,
        answer: answer.and_then(|answer| letters.iter().position(|letter| *letter == answer)),
        choices: letters.iter().map(|letter| Choice { letter: (*letter).into(), text: String::new() }).collect(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[test]
fn training_texts_have_the_published_token_ids() {
    let tokenizer = tokenizer();
    let mut lost = 0;
    for case in cases("train") {
        let max_tokens = case["max_length"].as_u64().unwrap() as usize;
        for (i, (text, ids)) in list(&case["texts"]).iter().zip(list(&case["token_ids"])).enumerate() {
            let (prompt, answer) = text.as_str().unwrap().rsplit_once(' ').unwrap();
            let encode = |truncation, scoring| {
                let options = EncodeOptions { max_tokens, truncation, scoring, append_eos: true };
                let encoder = Encoder::new(&tokenizer, &options).unwrap();
                encoder.encode(&[item(prompt, Some(answer))]).map(|mut examples| examples.remove(0))
            };
            let published: Example = encode(Truncation::Right, Scoring::Reference { letters: 4 }).unwrap();
            assert_eq!(Value::from(published.text.clone()), *ids);
            assert_eq!(Value::from(published.answer_at.is_none()), case["answer_lost"][i]);
            lost += usize::from(published.answer_at.is_none());
            // Unlike the published code, ours wants every letter to be a token of its own, which 3 is not here.
            let Ok(ours) = encode(Truncation::Passage, Scoring::Aligned) else {
                assert!(["3", "@"].contains(&answer));
                continue;
            };
            assert!(ours.answer_at == Some(ours.text.len() - 2) && ours.text.len() <= max_tokens);
            assert!(ours.truncated == published.truncated && (ours.truncated || ours.text == published.text));
        }
    }
    assert!(lost > 0);
}

#[test]
fn reference_scoring_asks_what_the_published_evaluation_asks() {
    let tokenizer = tokenizer();
    for case in cases("eval") {
        let letters = list(&case["choices"]).len();
        let options = EncodeOptions {
            max_tokens: 20,
            truncation: Truncation::Right,
            scoring: Scoring::Reference { letters },
            append_eos: true,
        };
        let encoder = Encoder::new(&tokenizer, &options).unwrap();
        for (prompt, ids) in list(&case["prompts"]).iter().zip(list(&case["input_ids"])) {
            let prompt = prompt.as_str().unwrap().strip_suffix(' ').unwrap();
            let example = encoder.encode(&[item(prompt, None)]).unwrap().remove(0);
            // Theirs is padded on the left, with the end of sequence.
            let ids: Vec<u32> = list(ids).iter().map(|id| id.as_u64().unwrap() as u32).collect();
            let padding = ids.iter().take_while(|id| **id == EOS).count();
            assert_eq!(example.prompt, ids[padding..]);
            assert_eq!(Value::from(example.choice_ids), case["choice_ids"]);
        }
    }
}
