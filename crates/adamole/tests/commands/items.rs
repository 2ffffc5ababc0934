//! `adamole items`.

use crate::{fails, shipped, shown, succeeds};
use serde_json::Value;
use std::path::Path;

#[test]
fn items_are_printed_as_the_model_sees_them() {
    let model = shipped();
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let fixed = ["items", "--benchmark", "copa", "--data", &data, "--limit", "3", "--format", "json"];
    let lines = succeeds(&[&fixed[..], &["--tokens", "--model", &model]].concat());
    let items: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items.len(), 3);
    for item in &items {
        let (prompt, answer) = (item["prompt"].as_str().unwrap(), item["answer"].as_str().unwrap());
        assert_eq!(item["text"].as_str().unwrap(), format!("{prompt}{answer}"));
        assert!(prompt.starts_with("Premise: ") && prompt.contains(item["choices"][1].as_str().unwrap()));
        let ids = |key: &str| item["tokens"][key].as_array().unwrap().clone();
        let (train, evaluate) = (ids("train"), ids("evaluate"));
        assert_eq!(train[..evaluate.len()], evaluate);
        let letter = ["A", "B"].iter().position(|letter| *letter == answer).unwrap();
        assert_eq!(train[evaluate.len()], ids("choices")[letter]);
    }
    let without: Value = serde_json::from_str(succeeds(&fixed).lines().next().unwrap()).unwrap();
    assert!(without.get("tokens").is_none());
    fails(&[&fixed[..], &["--tokens"]].concat(), 2, &["--model"]);
    fails(
        &["items", "--benchmark", "copa", "--data", "nowhere"],
        1,
        &["`nowhere` was not found: there is no such folder"],
    );
}
