//! What a page of routing says at its top: the base model, the method and its settings, the data and the result.

use adamole::{core::AdapterConfig, llama::CausalLm};
use serde_json::Value;

/// Names and what they stand for.
pub(super) type Facts = Vec<(&'static str, String)>;

/// The base model, named `base`, and the adapter on `model`, with its name where it has one.
pub(super) fn of_model(base: &str, adapter: Option<&str>, model: &CausalLm) -> Facts {
    let mut facts = vec![("Base model", base.to_owned())];
    facts.extend(adapter.map(|name| ("Adapter", name.to_owned())));
    let routed = model.routed();
    let mut methods: Vec<String> = Vec::new();
    for text in routed.iter().map(|(_, adapter, _)| method(adapter.config())) {
        if !methods.contains(&text) {
            methods.push(text);
        }
    }
    facts.push(("Method", methods.join("; ")));
    facts
}

/// A method with its settings, as a line.
fn method(config: &AdapterConfig) -> String {
    let kind = config.method.kind();
    let settings = config.method.settings();
    let setting = |name: &str| match settings.get(name)? {
        Value::Null => None,
        // Numbers of 32 bits have many digits as ones of 64.
        Value::Number(number) if number.is_f64() => Some(format!("{name} {}", number.as_f64()? as f32)),
        Value::String(text) => Some(format!("{name} {text}")),
        value => Some(format!("{name} {value}")),
    };
    let own = kind.settings.iter().filter_map(|it| setting(it.name));
    let common = [format!("rank {}", config.rank.get()), format!("alpha {}", config.alpha)];
    format!("{} ({})", kind.name, own.chain(common).collect::<Vec<_>>().join(", "))
}
