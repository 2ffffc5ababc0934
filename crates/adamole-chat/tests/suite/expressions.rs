//! Expressions and statements have the values that Jinja2 gives them in the environment of transformers, as
//! `tests/interop/chat_expressions.py` has recorded them.

use adamole_chat::{ChatTemplate, Conversation, Data, RenderOptions};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    variables: Data,
    renderings: Vec<(String, Option<String>)>,
}

#[test]
fn expressions_have_the_values_of_jinja2() {
    let Recorded { variables, renderings } = serde_json::from_str(include_str!("../expressions.json")).unwrap();
    let variables = variables.as_record().unwrap().clone();
    let options = RenderOptions { variables, ..RenderOptions::default() };
    let mut differences = Vec::new();
    for (template, expected) in &renderings {
        let rendered = ChatTemplate::from_source(template, "expression")
            .and_then(|template| template.render(&Conversation::default(), &options))
            .map(|rendered| rendered.text);
        if rendered.as_ref().ok() != expected.as_ref() {
            differences.push(format!("{template:?}: {rendered:?}, expected {expected:?}"));
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), renderings.len(), differences.join("\n"));
}
