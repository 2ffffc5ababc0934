//! The built-in templates.

use crate::conversation;
use adamole_chat::{BUILT_IN, BuiltIn, Conversation, RenderOptions};

fn spans_of(name: &str, conversation: &Conversation, add_generation_prompt: bool) -> (String, Vec<String>) {
    let template = BuiltIn::named(name).unwrap().template().unwrap();
    let mut tokens = template.special_tokens().clone();
    tokens.set("eos_token", "</s>");
    let options = RenderOptions { add_generation_prompt, ..RenderOptions::default() };
    let found = template.with_special_tokens(tokens).assistant_spans(conversation, &options).unwrap();
    let spans = found.spans.iter().map(|span| found.text[span.clone()].to_owned()).collect();
    (found.text, spans)
}

#[test]
fn each_can_be_read_and_says_what_the_model_is_to_produce() {
    for built_in in BUILT_IN {
        assert!(built_in.template().unwrap().has_generation_blocks(), "{}", built_in.name);
    }
}

#[test]
fn chatml_has_roles_and_ends() {
    let conversation = Conversation::of_texts([("system", "S"), ("user", "U"), ("assistant", "A"), ("user", "V")]);
    let (text, spans) = spans_of("chatml", &conversation, true);
    assert_eq!(
        text,
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n\
         <|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(spans, ["A<|im_end|>"]);
}

#[test]
fn plain_has_lines() {
    let conversation = Conversation::of_texts([("system", "S"), ("user", "U"), ("assistant", "A")]);
    let (text, spans) = spans_of("plain", &conversation, false);
    assert_eq!(text, "System: S\nUser: U\nAssistant: A</s>\n");
    assert_eq!(spans, [" A</s>"]);
}

#[test]
fn the_answer_of_plain_continues_its_prompt() {
    let asked = Conversation::of_texts([("user", "U")]);
    let answered = Conversation::of_texts([("user", "U"), ("assistant", "A")]);
    let (prompt, _) = spans_of("plain", &asked, true);
    assert!(spans_of("plain", &answered, false).0.starts_with(&prompt));
}

#[test]
fn alpaca_has_an_instruction_and_perhaps_an_input() {
    let without = Conversation::of_texts([("user", "Add 2 and 2."), ("assistant", "4")]);
    let (text, spans) = spans_of("alpaca", &without, false);
    assert_eq!(
        text,
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n\
         ### Instruction:\nAdd 2 and 2.\n\n### Response:\n4</s>"
    );
    assert_eq!(spans, ["4</s>"]);
    let with = conversation(
        r#"{"messages": [{"role": "user", "instruction": "Add.", "input": "2, 2", "content": "unused"}]}"#,
    );
    let (text, _) = spans_of("alpaca", &with, true);
    assert_eq!(
        text,
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a response \
         that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n2, 2\n\n### Response:\n"
    );
}
