//! Reading conversations.

use crate::{conversation, record, template};
use adamole_chat::{Conversation, ConversationError as Error, RenderOptions};

#[test]
fn what_is_wrong_is_said_with_its_message_and_key() {
    let cases = [
        ("{}", Error::NoMessages),
        (r#"{"messages": null}"#, Error::NoMessages),
        (r#"{"messages": "hi"}"#, Error::NotAList { field: "messages", found: "a string" }),
        (
            r#"{"messages": [{"role": "user"}, 3]}"#,
            Error::NotAnObject { field: "messages", index: 1, found: "a number" },
        ),
        (r#"{"messages": [{"role": "user"}, {"content": "a"}]}"#, Error::NoRole { message: 1 }),
        (r#"{"messages": [{"role": null}]}"#, Error::NoRole { message: 0 }),
        (r#"{"messages": [{"role": true}]}"#, Error::RoleNotText { message: 0, found: "a boolean" }),
        (r#"{"messages": [], "tools": {"name": "f"}}"#, Error::NotAList { field: "tools", found: "an object" }),
        (
            r#"{"messages": [], "documents": ["d"]}"#,
            Error::NotAnObject { field: "documents", index: 0, found: "a string" },
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(Conversation::take(&mut record(json)), Err(expected), "{json}");
    }
}

#[test]
fn null_keys_are_dropped_and_reasoning_is_there_under_two_names() {
    let conversation = conversation(
        r#"{"messages": [{"role": "assistant", "content": null, "z": 1, "reasoning": "because", "a": {"b": null}}], "tools": []}"#,
    );
    let text = template("{{ messages[0] | tojson }} {{ tools }} {{ documents }}");
    let rendered = text.render(&conversation, &RenderOptions::default()).unwrap();
    assert_eq!(
        rendered.text,
        r#"{"thinking": "because", "role": "assistant", "z": 1, "reasoning": "because", "a": {"b": null}, "reasoning_content": "because"} [] None"#
    );
}

#[test]
fn numbers_are_printed_as_they_are_in_python() {
    let options = RenderOptions {
        variables: record(r#"{"n": [1, 1.0, 1e20, 1e-7, 18446744073709551615, -3]}"#),
        ..RenderOptions::default()
    };
    let rendered = template("{{ n }} {{ n | tojson }}").render(&Conversation::default(), &options).unwrap();
    assert_eq!(
        rendered.text,
        "[1, 1.0, 1e+20, 1e-07, 18446744073709551615, -3] [1, 1.0, 1e+20, 1e-07, 18446744073709551615, -3]"
    );
}
