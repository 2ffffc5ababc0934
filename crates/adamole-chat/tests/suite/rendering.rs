//! Rendering: errors, the clock, whitespace and generation blocks.

use crate::{record, template};
use adamole_chat::{ChatError, ChatTemplate, Conversation, RenderOptions};

fn rendered(source: &str) -> Result<String, ChatError> {
    let conversation = Conversation::of_texts([("user", "é"), ("assistant", "ok")]);
    template(source).render(&conversation, &RenderOptions::default()).map(|rendered| rendered.text)
}

#[test]
fn a_templates_own_refusal_is_an_error_of_its_own() {
    match rendered("{{ 'a' }}{% if true %}{{ raise_exception('no ' ~ messages[0].role) }}{% endif %}") {
        Err(ChatError::Raised { message }) => assert_eq!(message, "no user"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_operation_without_a_result_is_an_error_with_its_line() {
    match rendered("a\n\n{{ 'x' + none }}") {
        Err(ChatError::Render { line, message, .. }) => {
            assert_eq!((line, message.as_str()), (Some(3), "unsupported operand types for +: 'str' and 'NoneType'"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_of_syntax_has_its_line() {
    for (source, line, part) in [
        ("a\n{{ 1 + }}", 2, "expected an expression"),
        ("{% if x %}\n\n{% iff %}", 3, "`iff` is not a statement"),
        ("{# no end", 1, "the comment has no end"),
        ("\n{{ 'abc }}", 2, "the string has no end"),
        ("{% for x y %}", 1, "expected `in`"),
        ("{{ (1] }}", 1, "unexpected `]`"),
        ("{% if x %}", 1, "unexpected end"),
        ("{% generation %}x", 1, "unexpected end"),
        (&format!("{{{{ {}1 }}}}", "-".repeat(100_000)), 1, "at most 100 nested"),
        (&format!("{{{{ {}{} }}}}", "[".repeat(100_000), "]".repeat(100_000)), 1, "at most 100 nested"),
        ("{% include 'x' %}", 1, "`include` is not a statement"),
    ] {
        match ChatTemplate::from_source(source, "test") {
            Err(ChatError::Syntax { line: found, message, .. }) => {
                assert!(found == line && message.contains(part), "{source:?}: line {found}: {message}");
            }
            other => panic!("{source:?}: {other:?}"),
        }
    }
}

#[test]
fn the_clock_can_be_given() {
    let options = RenderOptions { now: Some("2024-07-06T05:04:03".parse().unwrap()), ..RenderOptions::default() };
    let source = "{{ strftime_now('%d %b %Y, %B %A %a %H:%M:%S %I %p %j %y %m %-d %%') }}";
    let text = template(source).render(&Conversation::default(), &options).unwrap().text;
    assert_eq!(text, "06 Jul 2024, July Saturday Sat 05:04:03 05 AM 188 24 07 6 %");
    assert!(template("{{ strftime_now('%!') }}").render(&Conversation::default(), &options).is_err());
}

#[test]
fn variables_of_the_options_come_before_special_tokens() {
    let source = template("{{ eos_token }}{{ bos_token is defined }}");
    let mut tokens = source.special_tokens().clone();
    tokens.set("eos_token", "</s>");
    let source = source.with_special_tokens(tokens);
    let render = |variables| {
        let options = RenderOptions { variables: record(variables), ..RenderOptions::default() };
        source.render(&Conversation::default(), &options).unwrap().text
    };
    assert_eq!(render("{}"), "</s>False");
    assert_eq!(render(r#"{"eos_token": "E", "bos_token": null}"#), "ETrue");
}

fn spans(source: &str) -> Option<Vec<(usize, usize)>> {
    let conversation = Conversation::of_texts([("user", "é"), ("assistant", "ok")]);
    let generated = template(source).render(&conversation, &RenderOptions::default()).unwrap().generated?;
    Some(generated.into_iter().map(|span| (span.start, span.end)).collect())
}

#[test]
fn generation_blocks_have_their_bytes() {
    assert_eq!(spans("{{ 1 }}"), None);
    assert_eq!(spans("{% if false %}{% generation %}{% endgeneration %}{% endif %}"), Some(vec![]));
    assert_eq!(spans("é{% generation %}é{% endgeneration %}x"), Some(vec![(2, 4)]));
    assert_eq!(spans("a\n  {%- generation -%}\n b \n{%- endgeneration %}\n\nc"), Some(vec![(1, 2)]));
    assert_eq!(spans("a{% generation %}{% endgeneration %}b"), Some(vec![(1, 1)]));
    let in_loop = "{% for m in messages %}{{ m.role }}{% generation %}{{ loop.index }}{% endgeneration %}{% endfor %}";
    assert_eq!(spans(in_loop), Some(vec![(4, 5), (14, 15)]));
    // Variables that are set within are not seen behind, as in a macro.
    assert_eq!(rendered("{% generation %}{% set x = 1 %}{{ x }}{% endgeneration %}{{ x }}").unwrap(), "1");
}
