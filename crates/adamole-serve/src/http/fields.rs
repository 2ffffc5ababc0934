//! The fields of a request's body.

use super::error::ApiError;
use adamole_generate::StopStrings;
use adamole_llama::{Sampling, SamplingSettings};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::hash::{BuildHasher, RandomState};

/// The most stop strings of a request, and the longest in bytes.
const STOPS: usize = 16;
const STOP_BYTES: usize = 1024;
/// The most probable tokens that a score can come with.
const TOP_SCORES: usize = 20;

/// Fields of OpenAI that change nothing about a text.
const IGNORED: [&str; 8] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "parallel_tool_calls",
];

/// Whether a value of a field asks for nothing.
type IsNeutral = fn(&Value) -> bool;

/// Fields of OpenAI that would change a text in a way that this server does not know, the values that ask for nothing, and
/// what is expected.
const UNSUPPORTED: [(&str, IsNeutral, &str); 17] = [
    ("n", is_one, "1"),
    ("best_of", is_one, "1"),
    ("suffix", |value| value == "", "none"),
    ("presence_penalty", is_zero, "0; there is repetition_penalty"),
    ("frequency_penalty", is_zero, "0; there is repetition_penalty"),
    ("logit_bias", is_empty, "none"),
    ("tools", is_empty, "none"),
    ("tool_choice", |value| value == "none" || value == "auto", "none"),
    ("functions", is_empty, "none"),
    ("function_call", |value| value == "none" || value == "auto", "none"),
    ("response_format", |value| value["type"] == "text", "text"),
    ("modalities", |value| value.as_array().is_some_and(|list| list.iter().all(|it| it == "text")), "text"),
    ("audio", never, "none"),
    ("prediction", never, "none"),
    ("reasoning_effort", never, "none"),
    ("verbosity", never, "none"),
    ("web_search_options", never, "none"),
];

fn is_one(value: &Value) -> bool {
    value.as_f64() == Some(1.0)
}

fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0)
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

fn never(_: &Value) -> bool {
    false
}

/// The fields of a body that have not been read yet.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    /// It is not a JSON object.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::invalid("the body is not a JSON object")),
            Err(error) => Err(ApiError::invalid(format!("the body is not JSON: {error}"))),
        }
    }

    /// Takes a field out; `None` if it is missing or null.
    ///
    /// # Errors
    /// It is something else than `expected`.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
        let Some(value) = self.0.remove(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let shown = shortened(&value);
        let wrong = |_| ApiError::field(name, format!("{name} is {shown}, expected {expected}"));
        serde_json::from_value(value).map(Some).map_err(wrong)
    }

    /// Takes a field out that a request needs.
    ///
    /// # Errors
    /// It is missing, or something else than `expected`.
    pub(super) fn need<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Result<T, ApiError> {
        let missing = || ApiError::field(name, format!("{name} is missing, expected {expected}"));
        self.take(name, expected)?.ok_or_else(missing)
    }

    /// Takes a switch out, which is off by default.
    pub(super) fn switch(&mut self, name: &str) -> Result<bool, ApiError> {
        Ok(self.take(name, "true or false")?.unwrap_or(false))
    }

    /// Takes a count out.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<usize>, ApiError> {
        self.take(name, "an integer that is not negative")
    }

    /// Takes out how tokens are chosen: with a temperature of 1 where none is given, as at OpenAI, and the most probable
    /// token where it is 0.
    pub(super) fn sampling(&mut self) -> Result<Sampling, ApiError> {
        let default = SamplingSettings::default();
        let mut number = |name: &str| self.take::<f32>(name, "a number");
        let temperature = number("temperature")?.unwrap_or(1.0);
        let top_p = number("top_p")?.unwrap_or(default.top_p);
        let min_p = number("min_p")?.unwrap_or(default.min_p);
        let repetition_penalty = number("repetition_penalty")?.unwrap_or(default.repetition_penalty);
        let settings = SamplingSettings {
            temperature: (temperature != 0.0).then_some(temperature),
            top_k: self.count("top_k")?,
            top_p,
            min_p,
            repetition_penalty,
            // Without a seed, two requests get two texts.
            seed: self
                .take::<i64>("seed", "an integer")?
                .map_or_else(|| RandomState::new().hash_one(0), |seed| seed as u64),
        };
        Ok(Sampling::new(settings)?)
    }

    /// Takes the stop strings out.
    pub(super) fn stop(&mut self) -> Result<StopStrings, ApiError> {
        let strings = match self.take("stop", "a string or a list of strings")? {
            None => Vec::new(),
            Some(OneOrSeveral::One(string)) => vec![string],
            Some(OneOrSeveral::Several(strings)) => strings,
        };
        if strings.len() > STOPS || strings.iter().any(|string| string.len() > STOP_BYTES) {
            return Err(ApiError::field("stop", format!("stop may have {STOPS} strings of {STOP_BYTES} bytes")));
        }
        StopStrings::new(strings).map_err(|error| ApiError::field("stop", error.to_string()))
    }

    /// Takes out whether end tokens end a text, as these do by default.
    pub(super) fn end_tokens(&mut self, end_tokens: &[u32]) -> Result<Vec<u32>, ApiError> {
        Ok(if self.switch("ignore_eos")? { Vec::new() } else { end_tokens.to_vec() })
    }

    /// Takes out how many of the most probable tokens come with a score.
    pub(super) fn top_scores(&mut self, name: &str) -> Result<Option<usize>, ApiError> {
        match self.count(name)? {
            Some(top) if top > TOP_SCORES => {
                Err(ApiError::field(name, format!("{name} is {top}, expected at most {TOP_SCORES}")))
            }
            top => Ok(top),
        }
    }

    /// Refuses what is left and would change the result.
    ///
    /// # Errors
    /// A field is not known, or asks for something that the server does not do.
    pub(super) fn finish(mut self) -> Result<(), ApiError> {
        self.0.retain(|name, value| !value.is_null() && !IGNORED.contains(&name.as_str()));
        let Some((name, value)) = self.0.into_iter().find(|(name, value)| !asks_for_nothing(name, value)) else {
            return Ok(());
        };
        Err(match UNSUPPORTED.iter().find(|(known, ..)| *known == name) {
            Some((_, _, expected)) => {
                ApiError::field(&name, format!("{name} is {}, expected {expected}", shortened(&value)))
            }
            None => ApiError::field(&name, format!("the field {name} is not known")),
        })
    }
}

fn asks_for_nothing(name: &str, value: &Value) -> bool {
    UNSUPPORTED.iter().any(|(known, is_neutral, _)| *known == name && is_neutral(value))
}

/// A value for a message.
fn shortened(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// One string, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: &Value) -> Fields {
        Fields::parse(value.to_string().as_bytes()).expect("an object")
    }

    fn message<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
        result.expect_err("wrong").body_json()["error"]["message"].as_str().expect("text").to_owned()
    }

    #[test]
    fn what_is_not_known_or_not_done_is_refused_by_name() {
        let finish = |value| fields(&value).finish();
        assert_eq!(finish(json!({"n": 1, "user": "me", "logit_bias": {}, "suffix": null, "best_of": 1.0})), Ok(()));
        assert_eq!(message(finish(json!({"n": 2}))), "n is 2, expected 1");
        assert_eq!(
            message(finish(json!({"tools": [{"type": "function"}]}))),
            "tools is [{\"type\":\"function\"}], expected none"
        );
        assert_eq!(message(finish(json!({"temprature": 1}))), "the field temprature is not known");
        assert_eq!(
            message(finish(json!({"presence_penalty": 0.5}))),
            "presence_penalty is 0.5, expected 0; there is repetition_penalty"
        );
    }

    #[test]
    fn fields_of_another_type_are_named_with_what_is_expected() {
        assert_eq!(message(Fields::parse(b"[1]")), "the body is not a JSON object");
        assert!(message(Fields::parse(b"{\"a\": ")).starts_with("the body is not JSON: EOF"));
        let mut it = fields(&json!({"max_tokens": -1, "stop": ["a", 1], "stream": "yes", "top_p": 2}));
        assert_eq!(message(it.count("max_tokens")), "max_tokens is -1, expected an integer that is not negative");
        assert_eq!(message(it.stop()), "stop is [\"a\",1], expected a string or a list of strings");
        assert_eq!(message(it.switch("stream")), "stream is \"yes\", expected true or false");
        assert_eq!(message(it.need::<String>("model", "a name")), "model is missing, expected a name");
        assert_eq!(message(it.sampling()), "top_p is 2, expected a number above 0 and at most 1");
    }
}
