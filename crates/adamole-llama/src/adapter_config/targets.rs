//! Selection of the adapted linears, and of the linears with values of their own, by the rules of PEFT.

use crate::{
    ModelError,
    layout::{TARGETS, layer_and_target},
};
use fancy_regex::Regex;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The fields that select linears.
pub(super) struct Targeting<'a> {
    pub(super) path: &'a Path,
    pub(super) target_modules: &'a Value,
    pub(super) exclude_modules: &'a Value,
    pub(super) layers_to_transform: &'a Value,
    pub(super) layers_pattern: &'a Value,
}

impl Targeting<'_> {
    /// The selected linears among `linears`. Names in a list that match no linear are ignored: a linear that should have
    /// matched shows up when the tensors are compared.
    pub(super) fn select<'a>(&self, linears: &'a [String]) -> Result<Vec<&'a String>, ModelError> {
        let refused = |value: &Value, expected: String| self.refused("target_modules", value, expected);
        let expected = || format!("a list of linears, among them {}", TARGETS.join(", "));
        // PEFT supports adapters on these modules; we do not.
        let named = self.target_modules.as_array().into_iter().flatten();
        let outside = |target: &&Value| {
            ["lm_head", "embed_tokens"].iter().any(|end| target.as_str().is_some_and(|t| suffixed(t, end)))
        };
        if let Some(target) = named.clone().find(outside) {
            return Err(refused(target, expected()));
        }
        let targets = match self.target_modules {
            Value::String(all) if all.eq_ignore_ascii_case("all-linear") => Names::All,
            value => self.names("target_modules", value)?.ok_or_else(|| refused(value, expected()))?,
        };
        let excluded = match self.exclude_modules {
            Value::Null => Names::List(Vec::new()),
            Value::String(none) if none.is_empty() => Names::List(Vec::new()),
            value => {
                let expected = "a list of linears or a regular expression".to_owned();
                let refused = || self.refused("exclude_modules", value, expected);
                self.names("exclude_modules", value)?.ok_or_else(refused)?
            }
        };
        let layers = self.layers()?;
        let mut selected = Vec::new();
        for name in linears {
            let is_in = |layers: &Vec<usize>| layer_and_target(name).is_some_and(|(layer, _)| layers.contains(&layer));
            let matches = |names: &Names, field| names.contain(name).map_err(|reason| self.not_matched(field, &reason));
            if matches(&targets, "target_modules")?
                && !matches(&excluded, "exclude_modules")?
                && layers.as_ref().is_none_or(is_in)
            {
                selected.push(name);
            }
        }
        if selected.is_empty() { Err(refused(self.target_modules, expected())) } else { Ok(selected) }
    }

    /// The numbers of the layers; `None` if they are not given.
    fn layers(&self) -> Result<Option<Vec<usize>>, ModelError> {
        let is_unset = |value: &Value| value.is_null() || *value == json!([]) || *value == json!("");
        if is_unset(self.layers_to_transform) {
            return Ok(None);
        }
        let list = match self.layers_to_transform {
            Value::Number(_) => json!([self.layers_to_transform]),
            list => list.clone(),
        };
        let expected = "the number of a layer or a list of numbers".to_owned();
        let layers = serde_json::from_value(list)
            .map_err(|_| self.refused("layers_to_transform", self.layers_to_transform, expected))?;
        // The name of the layers in all supported families.
        let is_layers = |value: &Value| value.as_str() == Some("layers");
        let pattern = self.layers_pattern;
        if !(is_unset(pattern)
            || is_layers(pattern)
            || pattern.as_array().is_some_and(|list| list.iter().any(is_layers)))
        {
            return Err(self.refused("layers_pattern", pattern, "layers".into()));
        }
        Ok(Some(layers))
    }

    /// A list of names or a regular expression; `None` for other values.
    fn names(&self, field: &str, value: &Value) -> Result<Option<Names>, ModelError> {
        match value {
            Value::String(pattern) => match Regex::new(&format!("^(?:{pattern})$")) {
                Ok(pattern) => Ok(Some(Names::Expression(Box::new(pattern)))),
                Err(error) => Err(self.not_understood(field, value, &error.to_string())),
            },
            Value::Array(list) => {
                let names = list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>();
                Ok(names.map(Names::List))
            }
            _ => Ok(None),
        }
    }

    fn refused(&self, field: &str, value: &Value, expected: String) -> ModelError {
        ModelError::unsupported(self.path, field, value, expected)
    }

    fn not_understood(&self, field: &str, value: &Value, reason: &str) -> ModelError {
        self.refused(field, value, format!("a valid regular expression: {reason}"))
    }

    fn not_matched(&self, field: &str, reason: &str) -> ModelError {
        let value = if field == "target_modules" { self.target_modules } else { self.exclude_modules };
        self.not_understood(field, value, reason)
    }
}

/// A set of linears.
enum Names {
    All,
    /// Names, or their last parts.
    List(Vec<String>),
    /// A regular expression for the whole name.
    Expression(Box<Regex>),
}

impl Names {
    fn contain(&self, name: &str) -> Result<bool, String> {
        match self {
            Self::All => Ok(true),
            Self::List(names) => Ok(names.iter().any(|target| suffixed(name, target))),
            Self::Expression(pattern) => pattern.is_match(name).map_err(|error| error.to_string()),
        }
    }
}

/// Whether `name` is `end` or ends in `.end`.
fn suffixed(name: &str, end: &str) -> bool {
    name.strip_suffix(end).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// The `_pattern` values of a field. As in PEFT, a pattern matches the end of a linear's name, after a dot.
pub(super) struct Patterns<'a> {
    path: &'a Path,
    field: String,
    values: Vec<(Regex, &'a Value)>,
}

impl<'a> Patterns<'a> {
    pub(super) fn new(
        path: &'a Path,
        field: impl Into<String>,
        map: Option<&'a Map<String, Value>>,
    ) -> Result<Self, ModelError> {
        let field = field.into();
        let pattern = |(key, value): (&String, &'a Value)| {
            let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{key})$")).map_err(|error| {
                let expected = format!("the name of a linear or a valid regular expression: {error}");
                ModelError::unsupported(path, &field, key, expected)
            })?;
            Ok((regex, value))
        };
        let values = map.into_iter().flatten().map(pattern).collect::<Result<_, _>>()?;
        Ok(Self { path, field, values })
    }

    /// The integer of the first pattern that matches a linear.
    pub(super) fn integer(&self, name: &str) -> Result<Option<usize>, ModelError> {
        let whole = |value: &Value| {
            let float = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..9e15).contains(number));
            float.map(|number| number as usize)
        };
        self.value(name, whole, "an integer of at least 0")
    }

    /// The number of the first pattern that matches a linear.
    pub(super) fn number(&self, name: &str) -> Result<Option<f32>, ModelError> {
        let finite = |value: &Value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
        self.value(name, finite, "a number")
    }

    fn value<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>, ModelError> {
        for (pattern, value) in &self.values {
            let matches = pattern.is_match(name);
            if matches.map_err(|error| ModelError::unsupported(self.path, &self.field, pattern, error.to_string()))? {
                let read =
                    read(value).ok_or_else(|| ModelError::unsupported(self.path, &self.field, value, expected))?;
                return Ok(Some(read));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Targets, layout::linear_name};

    fn selected(target: Value, exclude: Value) -> Result<Vec<String>, String> {
        let targets = Vec::from(Targets::all());
        let linears: Vec<String> =
            (0..2).flat_map(|layer| targets.iter().map(move |target| linear_name(layer, target))).collect();
        let targeting = Targeting {
            path: Path::new("adapter_config.json"),
            target_modules: &target,
            exclude_modules: &exclude,
            layers_to_transform: &Value::Null,
            layers_pattern: &Value::Null,
        };
        let selected = targeting.select(&linears).map_err(|error| error.to_string())?;
        Ok(selected.into_iter().cloned().collect())
    }

    #[test]
    fn lists_match_the_last_parts_of_a_name() {
        assert_eq!(selected(json!(["q_proj", "layers.1.mlp.up_proj"]), Value::Null).unwrap().len(), 3);
        assert_eq!(selected(json!(["q_proj", "c_attn"]), Value::Null).unwrap().len(), 2);
        assert!(selected(json!(["_proj"]), Value::Null).is_err());
        assert!(selected(json!(["q_proj", "lm_head"]), Value::Null).unwrap_err().contains("lm_head"));
    }

    #[test]
    fn expressions_match_the_whole_name_and_may_use_look_around() {
        assert_eq!(selected(json!("^(?!.*vision_tower).*(?:q_proj|v_proj).*"), Value::Null).unwrap().len(), 4);
        assert_eq!(selected(json!(r"(?<!x)model\.layers\.0\..*"), Value::Null).unwrap().len(), 7);
        assert!(selected(json!("q_proj"), Value::Null).is_err());
        assert!(selected(json!("(q_proj"), Value::Null).unwrap_err().contains("a valid regular expression"));
    }

    #[test]
    fn excluded_linears_are_not_adapted() {
        let mlp = json!(["gate_proj", "up_proj", "down_proj"]);
        assert_eq!(selected(json!("all-linear"), mlp).unwrap().len(), 8);
        assert_eq!(selected(json!("All-Linear"), json!(r".*\.mlp\..*")).unwrap().len(), 8);
        assert_eq!(selected(json!(["q_proj", "v_proj"]), json!("q_proj")).unwrap().len(), 4);
        assert_eq!(selected(json!(["q_proj"]), json!(["layers.1.self_attn.q_proj"])).unwrap().len(), 1);
        assert!(selected(json!(["q_proj"]), json!(["q_proj"])).is_err());
        assert!(selected(json!(["q_proj"]), json!({"a": 1})).unwrap_err().contains("exclude_modules"));
    }

    #[test]
    fn an_expression_with_unbounded_backtracking_is_refused() {
        let error = selected(json!(r"(?=x*)(\w|\.|\w\.|[a-z.]+)*!"), Value::Null).unwrap_err();
        assert!(error.contains("target_modules"), "{error}");
    }
}
