//! Checks of a `tokenizer.json` before the library reads it.
//!
//! The library trusts its files. On some it panics, which is caught where it is called; on others it allocates memory without
//! bound, which cannot be caught.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// The most that all replacements of a normalizer or decoder together may lengthen a text.
const MOST_GROWTH: f64 = 4096.0;

/// The most bytes that a normalizer may put before a text, and the most tokens that a template may put around it.
const MOST_AROUND: usize = 4096;

/// The parts of the file that are checked. The vocabulary is skipped.
#[derive(Deserialize)]
#[serde(expecting = "expected a tokenizer")]
struct Outline {
    normalizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: Option<Model>,
}

#[derive(Deserialize)]
#[serde(expecting = "expected a model with its vocabulary")]
struct Model {
    dropout: Option<f64>,
}

/// The reason why a file is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unsound(String);

impl<T: Into<String>> From<T> for Unsound {
    fn from(reason: T) -> Self {
        Self(reason.into())
    }
}

/// Refuses a file on which the library would fail.
pub(super) fn check(bytes: &[u8]) -> Result<(), Unsound> {
    let outline: Outline = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if let Some(dropout) = outline.model.and_then(|model| model.dropout).filter(|dropout| *dropout != 0.0) {
        return Err(format!(
            "`model.dropout` is {dropout}, expected none: the same text would become other tokens each time"
        )
        .into());
    }
    for (name, part) in [("normalizer", &outline.normalizer), ("decoder", &outline.decoder)] {
        let growth: f64 = part.iter().flat_map(steps).map(growth).product();
        if growth > MOST_GROWTH {
            return Err(
                format!("`{name}` makes texts {growth:.0} times as long, expected at most {MOST_GROWTH}").into()
            );
        }
    }
    let before = outline.normalizer.iter().flat_map(steps).filter_map(|step| step["prepend"].as_str()).map(str::len);
    if before.sum::<usize>() > MOST_AROUND {
        return Err(format!("`normalizer` puts more than {MOST_AROUND} bytes before a text").into());
    }
    for step in outline.normalizer.iter().flat_map(steps).filter(|step| has_type(step, "Precompiled")) {
        charsmap(step).ok_or("`normalizer.precompiled_charsmap` is not the table that it should be")?;
    }
    for step in outline.post_processor.iter().flat_map(steps).filter(|step| has_type(step, "TemplateProcessing")) {
        template(step)?;
    }
    Ok(())
}

fn has_type(step: &Value, name: &str) -> bool {
    step["type"] == name
}

/// The steps of a part, which may be a sequence of parts.
fn steps(part: &Value) -> Vec<&Value> {
    let inner = ["normalizers", "decoders", "processors"].into_iter().find_map(|key| part.get(key)?.as_array());
    inner.map_or_else(|| vec![part], |inner| inner.iter().flat_map(steps).collect())
}

/// The factor by which a step that replaces texts may lengthen a text; 1 for other steps.
fn growth(step: &Value) -> f64 {
    if !has_type(step, "Replace") {
        return 1.0;
    }
    let content = step["content"].as_str().map_or(0, str::len) as f64;
    match step["pattern"]["String"].as_str() {
        Some(pattern) if !pattern.is_empty() => (content / pattern.len() as f64).max(1.0),
        // A regular expression may match the empty text, which is everywhere.
        _ => 1.0 + content,
    }
}

/// Checks the table of a `SentencePiece` normalizer: four bytes with its size, a table of 32-bit numbers, and texts.
fn charsmap(step: &Value) -> Option<()> {
    let bytes = STANDARD.decode(step["precompiled_charsmap"].as_str()?).ok()?;
    let (size, rest) = bytes.split_first_chunk()?;
    let size = u32::from_le_bytes(*size) as usize;
    let (_, texts) = rest.split_at_checked(size)?;
    (size > 0 && size.is_multiple_of(4) && std::str::from_utf8(texts).is_ok()).then_some(())
}

/// Checks that a template has one place for the text, declares all its special tokens, and adds few of them.
fn template(step: &Value) -> Result<(), Unsound> {
    let places = |piece: &&Value| piece.get("Sequence").is_some();
    let single: Vec<&Value> = step["single"].as_array().into_iter().flatten().filter(places).collect();
    if !matches!(single.as_slice(), [place] if place["Sequence"]["id"] == "A") {
        return Err("`post_processor.single`: expected one place for the text, `A`".into());
    }
    for key in ["single", "pair"] {
        let pieces = step[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut around = 0;
        for name in pieces.iter().filter_map(|piece| piece["SpecialToken"]["id"].as_str()) {
            let ids = step["special_tokens"][name]["ids"].as_array();
            around += ids
                .ok_or_else(|| {
                    format!("`post_processor.{key}` has a place for {name:?}, which `special_tokens` lacks")
                })?
                .len();
        }
        if around > MOST_AROUND {
            return Err(format!(
                "`post_processor.{key}` puts {around} tokens around a text, expected at most {MOST_AROUND}"
            )
            .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(part: &str, value: Value) -> String {
        check(json!({ part: value, "model": { "vocab": {} } }).to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_the_library_would_take_memory_for_is_refused() {
        for map in ["AAAA", "/////w==", "AwAAAAAAAAA=", "BAAAAAAAAAD//w==", "not base64"] {
            let map = json!({ "type": "Precompiled", "precompiled_charsmap": map });
            assert!(refused("normalizer", map.clone()).contains("precompiled_charsmap"));
            let nested = json!({ "type": "Sequence", "normalizers": [{ "type": "Sequence", "normalizers": [map] }] });
            assert!(refused("normalizer", nested).contains("precompiled_charsmap"));
        }
        let doubling = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
        let steps = json!({ "type": "Sequence", "normalizers": vec![doubling.clone(); 40] });
        assert!(refused("normalizer", steps).contains("times as long"));
        check(json!({ "decoder": doubling }).to_string().as_bytes()).unwrap();
        let before =
            json!({ "type": "Sequence", "normalizers": vec![json!({ "type": "Prepend", "prepend": "xy" }); 5000] });
        assert!(refused("normalizer", before).contains("before a text"));
    }

    #[test]
    fn a_template_declares_its_special_tokens() {
        let single =
            json!([{ "SpecialToken": { "id": "X", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }]);
        let template = |ids: usize| {
            let tokens = json!({ "X": { "id": "X", "ids": vec![1; ids], "tokens": vec!["X"; ids] } });
            json!({ "type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": tokens })
        };
        check(json!({ "post_processor": template(1) }).to_string().as_bytes()).unwrap();
        assert!(refused("post_processor", template(5000)).contains("puts 5000 tokens"));
        let none = json!({ "type": "TemplateProcessing", "single": single, "special_tokens": {} });
        assert!(refused("post_processor", none).contains("has a place for \"X\""));
        let text = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
        for single in [vec![], vec![text("B")], vec![text("A"); 2]] {
            let template = json!({ "type": "TemplateProcessing", "single": single, "special_tokens": {} });
            assert!(refused("post_processor", template).contains("one place for the text"));
        }
    }

    #[test]
    fn a_tokenizer_gives_the_same_tokens_each_time() {
        let with = |dropout: Value| check(json!({ "model": { "dropout": dropout } }).to_string().as_bytes());
        assert!(with(json!(0.1)).unwrap_err().to_string().contains("`model.dropout` is 0.1"));
        assert_eq!((with(json!(null)), with(json!(0.0))), (Ok(()), Ok(())));
    }
}
