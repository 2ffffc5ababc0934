//! Templates and special tokens of model folders.

use adamole_chat::{ChatError, ChatTemplates, Conversation, RenderOptions};
use std::{fs, path::Path};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn rendered(folder: &Path, with_tools: bool) -> String {
    let mut conversation = Conversation::of_texts([("user", "hi")]);
    conversation.tools = with_tools.then(Vec::new);
    let templates = ChatTemplates::from_model_folder(folder).unwrap();
    let template = templates.for_conversation(&conversation).unwrap();
    template.render(&conversation, &RenderOptions::default()).unwrap().text
}

#[test]
fn a_template_of_the_tokenizers_config_is_found() {
    let config = r#"{"chat_template": "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}", "bos_token": {"content": "<s>"},
        "eos_token": "</s>", "pad_token": null}"#;
    assert_eq!(rendered(folder(&[("tokenizer_config.json", config)]).path(), true), "<s></s>False");
    let map = r#"{"eos_token": "of the map", "pad_token": "<pad>"}"#;
    let both = folder(&[("tokenizer_config.json", config), ("special_tokens_map.json", map)]);
    assert_eq!(rendered(both.path(), false), "<s></s>True");
}

#[test]
fn tools_have_a_template_of_their_own() {
    let config = r#"{"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]}"#;
    let named = folder(&[("tokenizer_config.json", config)]);
    assert_eq!((rendered(named.path(), false), rendered(named.path(), true)), ("d".into(), "t".into()));
}

#[test]
fn files_come_before_the_config() {
    let config = ("tokenizer_config.json", r#"{"chat_template": "of the config"}"#);
    let one = folder(&[config, ("chat_template.jinja", "of the file\n")]);
    assert_eq!(rendered(one.path(), true), "of the file");
    let several = folder(&[("chat_template.jinja", "d"), ("additional_chat_templates/tool_use.jinja", "t")]);
    assert_eq!(rendered(several.path(), true), "t");
    let templates = ChatTemplates::from_model_folder(several.path()).unwrap();
    assert_eq!(templates.names(), ["default", "tool_use"]);
    assert!(matches!(templates.named("rag"), Err(ChatError::UnknownTemplate { .. })));
}

#[test]
fn what_is_missing_or_not_understood_is_an_error_with_its_place() {
    let error =
        |files: &[(&str, &str)]| ChatTemplates::from_model_folder(folder(files).path()).unwrap_err().to_string();
    assert!(error(&[]).contains("has no chat template"));
    assert!(error(&[("tokenizer_config.json", r#"{"chat_template": null}"#)]).contains("has no chat template"));
    assert!(error(&[("tokenizer_config.json", "[]")]).contains("tokenizer_config.json: `the file` is an array"));
    assert!(error(&[("tokenizer_config.json", "{")]).contains("tokenizer_config.json: EOF"));
    let field = error(&[("tokenizer_config.json", r#"{"chat_template": [{"name": "default"}]}"#)]);
    assert!(field.contains("`chat_template[0].template` is missing, expected a string"), "{field}");
    let token = error(&[("tokenizer_config.json", r#"{"chat_template": "", "eos_token": 3}"#)]);
    assert!(token.contains("`eos_token` is a number"), "{token}");
    assert!(error(&[("chat_template.jinja", "\n{{")]).contains("chat template `default`, line 2"));
    let config = r#"{"chat_template": [{"name": "a", "template": "d"}, {"name": "b", "template": "t"}]}"#;
    let templates = ChatTemplates::from_model_folder(folder(&[("tokenizer_config.json", config)]).path()).unwrap();
    let none = templates.for_conversation(&Conversation::default()).unwrap_err();
    assert_eq!(none.to_string(), "none of the chat templates is called `default`; there are a, b");
}
