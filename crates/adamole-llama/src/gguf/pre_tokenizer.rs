//! How a byte-level tokenizer cuts texts before it merges, and what llama.cpp calls that (`tokenizer.ggml.pre`).
//!
//! A rule is identified by its definition in `tokenizer.json`, which has to be exactly one of those below. llama.cpp's
//! converter hashes the ids of a test text in place of that, which knows vocabularies but none that was trained since.

use serde_json::{Value, json};

/// A rule of llama.cpp.
pub(super) struct Rule {
    /// Its name there.
    pub(super) name: &'static str,
    /// Whether a piece that is a token is not built by merges (`ignore_merges`).
    pub(super) ignores_merges: bool,
}

/// The expression of Llama 3.
const LLAMA_3: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\
                       \\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/// The rule of a `pre_tokenizer`; `None` if it is none of those that are known here.
pub(super) fn rule(pre_tokenizer: &Value) -> Option<Rule> {
    let steps = match pre_tokenizer.get("pretokenizers").and_then(Value::as_array) {
        Some(steps) => steps.as_slice(),
        None => std::slice::from_ref(pre_tokenizer),
    };
    let named = |name, ignores_merges| Some(Rule { name, ignores_merges });
    match steps {
        [bytes] if is_bytes(bytes, true) => named("gpt-2", false),
        [digits, bytes] if *digits == json!({"type": "Digits", "individual_digits": true}) && is_bytes(bytes, true) => {
            named("smollm", false)
        }
        [split, bytes] if is_split(split, LLAMA_3) && is_bytes(bytes, false) => named("llama-bpe", true),
        _ => None,
    }
}

/// A step that takes bytes for characters, with the expression of GPT-2 before it or without.
fn is_bytes(step: &Value, use_regex: bool) -> bool {
    step["type"] == "ByteLevel"
        && step["add_prefix_space"] == false
        && step.get("use_regex").and_then(Value::as_bool).unwrap_or(true) == use_regex
}

/// A step that makes each match of an expression a piece.
fn is_split(step: &Value, expression: &str) -> bool {
    step["type"] == "Split"
        && step["pattern"] == json!({"Regex": expression})
        && step["behavior"] == "Isolated"
        && step["invert"] == false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pre_tokenizer: Value) -> Option<&'static str> {
        rule(&pre_tokenizer).map(|rule| rule.name)
    }

    fn bytes(use_regex: bool) -> Value {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
    }

    fn sequence(steps: &[Value]) -> Value {
        json!({"type": "Sequence", "pretokenizers": steps})
    }

    fn split(expression: &str) -> Value {
        json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false})
    }

    #[test]
    fn rules_are_known_by_their_definitions() {
        let digits = |individual: bool| json!({"type": "Digits", "individual_digits": individual});
        assert_eq!(name(bytes(true)), Some("gpt-2"));
        assert_eq!(name(json!({"type": "ByteLevel", "add_prefix_space": false})), Some("gpt-2"));
        assert_eq!(name(sequence(&[digits(true), bytes(true)])), Some("smollm"));
        assert_eq!(name(sequence(&[split(LLAMA_3), bytes(false)])), Some("llama-bpe"));
        for other in [
            bytes(false),
            sequence(&[digits(false), bytes(true)]),
            sequence(&[split(LLAMA_3), bytes(true)]),
            sequence(&[split(&LLAMA_3.replace("{1,3}", "")), bytes(false)]),
            json!({"type": "ByteLevel", "add_prefix_space": true}),
            Value::Null,
        ] {
            assert_eq!(name(other.clone()), None, "{other}");
        }
    }
}
