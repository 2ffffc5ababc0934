//! What of a conversation the model is to produce.

use crate::template;
use adamole_chat::{ChatError, Conversation, PrefixPart, RenderOptions, SpansBy};

const CHATML: &str = "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '<end>\n' }}{% endfor %}\
                      {% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

fn conversation() -> Conversation {
    Conversation::of_texts([("user", "é"), ("assistant", "one"), ("user", "b"), ("assistant", "two")])
}

fn spans(source: &str, conversation: &Conversation) -> Result<Vec<String>, ChatError> {
    let found = template(source).assistant_spans(conversation, &RenderOptions::default())?;
    assert_eq!(found.found_by, SpansBy::Prefixes);
    Ok(found.spans.iter().map(|span| found.text[span.clone()].to_owned()).collect())
}

#[test]
fn without_generation_blocks_spans_are_between_beginnings() {
    assert_eq!(spans(CHATML, &conversation()).unwrap(), ["one<end>\n", "two<end>\n"]);
    assert_eq!(spans(CHATML, &Conversation::of_texts([("user", "a")])).unwrap(), Vec::<String>::new());
}

#[test]
fn a_template_without_a_prompt_for_answers_has_spans_too() {
    let source = "{% for m in messages %}{{ '[INST]' + m.content + '[/INST]' if m.role == 'user' else m.content + '</s>' }}{% endfor %}";
    assert_eq!(spans(source, &conversation()).unwrap(), ["one</s>", "two</s>"]);
}

#[test]
fn a_template_that_drops_what_was_said_before_is_an_error_and_no_mask() {
    let source = "{% for m in messages %}{{ m.role + ':' }}\
                  {{ 'thinks;' if loop.last and m.role == 'assistant' else '' }}{{ m.content + '\n' }}{% endfor %}";
    match spans(source, &conversation()) {
        Err(ChatError::NotAPrefix { message: 1, part: PrefixPart::Through, at, .. }) => assert_eq!(at, 18),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_prompt_that_an_answer_does_not_follow_is_an_error() {
    let source = CHATML.replace("<assistant>", "<assistant><think>");
    match spans(&source, &conversation()) {
        Err(ChatError::NotAPrefix { message: 1, part: PrefixPart::Before, at, .. }) => assert_eq!(at, 25),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_beginning_that_is_refused_is_an_error_with_its_cause() {
    let source = "{% if not messages %}{{ raise_exception('nobody said anything') }}{% endif %}".to_owned() + CHATML;
    let error = spans(&source, &Conversation::of_texts([("assistant", "a")])).unwrap_err();
    assert!(matches!(error, ChatError::PrefixRefused { message: 0, part: PrefixPart::Before, .. }));
    assert!(error.to_string().contains("nobody said anything"), "{error}");
}

#[test]
fn a_generation_block_whose_place_is_not_known_is_an_error() {
    let source = "{% macro m() %}x{% generation %}y{% endgeneration %}{% endmacro %}{{ m() }}";
    let error = template(source).assistant_spans(&conversation(), &RenderOptions::default()).unwrap_err();
    assert!(matches!(error, ChatError::MisplacedGeneration { at: 0, .. }), "{error}");
}
