//! Files of one's own text to rows, and what is said about files that are not as they should be.

use std::path::Path;
use std::sync::Arc;

use adamole_data::OnBadRow;
use adamole_data::text::{
    TextContent, TextData, TextFields, TextOptions, TextShape, TextSplits, Validation, ValidationOrigin,
};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn all() -> TextOptions {
    TextOptions { validation: Validation::None, ..TextOptions::default() }
}

fn read_as(name: &str, text: &str, options: &TextOptions) -> Result<TextData, String> {
    let folder = folder(&[(name, text)]);
    let relative =
        |error: adamole_data::DataError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    TextData::read(&[folder.path().join(name)], options).map_err(relative)
}

fn read(name: &str, text: &str) -> Result<TextData, String> {
    read_as(name, text, &all())
}

fn fields(toml: &str) -> TextOptions {
    let folder = folder(&[("fields.toml", toml)]);
    TextOptions { fields: TextFields::from_file(&folder.path().join("fields.toml")).unwrap(), ..all() }
}

/// The content as JSON, with the messages as they were kept.
fn shown(content: &TextContent) -> String {
    match content {
        TextContent::Text(text) => format!("text {text:?}"),
        TextContent::Completion { prompt, completion } => format!("{prompt:?} -> {completion:?}"),
        TextContent::Conversation { messages, tools, prompt_messages } => {
            let messages: Vec<&str> = messages.iter().map(|message| message.json().as_str()).collect();
            let tools: Vec<String> = tools.iter().flatten().map(|tool| format!(" tool {tool}")).collect();
            let prompt = prompt_messages.map(|count| format!(" prompt {count}")).unwrap_or_default();
            format!("{}{}{prompt}", messages.join(" "), tools.concat())
        }
    }
}

#[test]
fn each_shape_is_told_by_its_fields() {
    for (row, shape, content) in [
        (
            r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "z": 1, "content": "Ho", "a": {"y": 1, "x": 2.0}}], "tools": [{"type": "function", "a": 1}]}"#,
            TextShape::Conversation,
            r#"{"role":"user","content":"Hi"} {"role":"assistant","z":1,"content":"Ho","a":{"y":1,"x":2.0}} tool {"type":"function","a":1}"#,
        ),
        (
            r#"{"messages": "[{\"role\": \"assistant\", \"content\": null, \"tool_calls\": []}]", "tools": "[\"{\\\"b\\\": 1, \\\"a\\\": 2}\"]"}"#,
            TextShape::Conversation,
            r#"{"role":"assistant","content":null,"tool_calls":[]} tool {"b":1,"a":2}"#,
        ),
        (r#"{"prompt": "2 + 2 =", "completion": " 4", "text": null}"#, TextShape::Completion, r#""2 + 2 =" -> " 4""#),
        (
            r#"{"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": [{"type": "text", "text": "Ho"}]}]}"#,
            TextShape::ConversationalCompletion,
            r#"{"role":"user","content":"Hi"} {"role":"assistant","content":[{"type":"text","text":"Ho"}]} prompt 1"#,
        ),
        (r#"{"text": "Once\nupon"}"#, TextShape::Text, r#"text "Once\nupon""#),
        (
            r#"{"system": "Be brief.", "conversations": [{"from": "human", "value": "Hi", "id": 3}, {"from": "gpt", "value": "Ho"}], "tools": "[]"}"#,
            TextShape::ShareGpt,
            r#"{"role":"system","content":"Be brief."} {"role":"user","content":"Hi","id":3} {"role":"assistant","content":"Ho"}"#,
        ),
        (
            r#"{"conversations": [{"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"b\": 1, \"a\": 2}}"}, {"from": "observation", "value": "7"}]}"#,
            TextShape::ShareGpt,
            r#"{"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"b":1,"a":2}}}]} {"role":"tool","content":"7"}"#,
        ),
        (
            r#"{"instruction": "Add.", "input": "2, 2", "output": "4", "system": "S", "history": [["Q", "A"]]}"#,
            TextShape::Alpaca,
            r#"{"role":"system","content":"S"} {"role":"user","content":"Q"} {"role":"assistant","content":"A"} {"role":"user","content":"Add.\n\n2, 2","instruction":"Add.","input":"2, 2"} {"role":"assistant","content":"4"}"#,
        ),
        (
            r#"{"instruction": "Add.", "output": "4"}"#,
            TextShape::Alpaca,
            r#"{"role":"user","content":"Add.","instruction":"Add.","input":""} {"role":"assistant","content":"4"}"#,
        ),
    ] {
        let data = read("rows.jsonl", row).unwrap();
        assert_eq!((data.summary.shape, shown(&data.train[0].content).as_str()), (shape, content), "{row}");
        assert_eq!(data.train[0].origin.to_string().rsplit('/').next(), Some("rows.jsonl:1"));
        // A list of one object is read alike.
        assert_eq!(read("rows.json", &format!("[{row}]")).unwrap().train[0].content, data.train[0].content);
    }
}

#[test]
fn bad_rows_are_named_by_place_field_and_value() {
    for (rows, message) in [
        (
            r#"{"question": "q", "answer": "a"}"#,
            "rows.jsonl:1: the row has the fields of no shape of text data: expected `messages`; or `prompt` and `completion`; or \
             `text`; or `conversations`; or `instruction` and `output`; the row has: answer, question",
        ),
        (
            r#"{"text": "t", "instruction": "i", "output": "o"}"#,
            "rows.jsonl:1: the row has the fields of two shapes, text (`text`) and alpaca (`instruction` and `output`), and none is \
             set",
        ),
        (
            "{\"text\": \"t\"}\n\n{\"prompt\": \"p\", \"completion\": \"c\"}",
            "rows.jsonl:3: the shape of the row is completion, that of the first row (rows.jsonl:1) is text",
        ),
        (
            "{\"prompt\": \"p\", \"completion\": \"c\"}\n{\"prompt\": [], \"completion\": []}",
            "rows.jsonl:2: the shape of the row is conversational-completion, that of the first row (rows.jsonl:1) is completion",
        ),
        (r#"{"text": 3}"#, "rows.jsonl:1: field `text`: expected a string, found the number 3"),
        (
            r#"{"prompt": [], "completion": "c"}"#,
            "rows.jsonl:1: field `completion`: expected a list of messages, found the string \"c\"",
        ),
        (r#"{"prompt": "p", "completion": []}"#, "rows.jsonl:1: field `completion`: expected a string, found a list"),
        (r#"{"messages": null}"#, "rows.jsonl:1: field `messages`: expected a list of messages, found null"),
        (r#"{"messages": []}"#, "rows.jsonl:1: field `messages`: expected at least one message, found an empty list"),
        (
            r#"{"messages": "[{\"role\""}"#,
            "rows.jsonl:1: field `messages`: expected a list of messages, found a string that is not JSON: EOF while parsing an \
             object at line 1 column 8",
        ),
        (
            r#"{"messages": ["Hi"]}"#,
            "rows.jsonl:1: field `messages[0]`: expected a message, an object with `role` and `content`, found the string \"Hi\"",
        ),
        (
            r#"{"messages": [{"content": "Hi"}]}"#,
            "rows.jsonl:1: field `messages[0].role` is missing; the row has: content",
        ),
        (
            r#"{"messages": [{"role": 1, "content": "Hi"}]}"#,
            "rows.jsonl:1: field `messages[0].role`: expected the name of a role, found the number 1",
        ),
        (
            r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null}]}"#,
            "rows.jsonl:1: field `messages[1].content`: expected a string or a list of parts, found null",
        ),
        (
            r#"{"messages": [{"role": "user", "content": ["Hi"]}]}"#,
            "rows.jsonl:1: field `messages[0].content[0]`: expected an object, a part of the content, found the string \"Hi\"",
        ),
        (
            r#"{"messages": [{"role": "user", "content": "Hi"}]}"#,
            "rows.jsonl:1: field `messages`: expected a message of the role assistant, from which to learn, found the roles user",
        ),
        (
            r#"{"prompt": [{"role": "assistant", "content": "Hi"}], "completion": []}"#,
            "rows.jsonl:1: field `completion`: expected a message of the role assistant, from which to learn, found no message",
        ),
        (
            r#"{"messages": [{"role": "assistant", "content": "Hi"}], "tools": [3]}"#,
            "rows.jsonl:1: field `tools[0]`: expected a tool, an object or its JSON text, found the number 3",
        ),
        (
            r#"{"conversations": [{"from": "narrator", "value": "Hi"}]}"#,
            "rows.jsonl:1: field `conversations[0].from`: expected one of human, user, gpt, chatgpt, assistant, model, bot, system, \
             tool, observation, function_response, function_call, tool_call, found the string \"narrator\"",
        ),
        (
            r#"{"conversations": [{"from": "gpt"}]}"#,
            "rows.jsonl:1: field `conversations[0].value` is missing; the row has: from",
        ),
        (
            r#"{"conversations": [{"from": "function_call", "value": "f(1)"}]}"#,
            "rows.jsonl:1: field `conversations[0].value`: expected the JSON text of a call, {\"name\": ..., \"arguments\": ...}, or \
             of a list of calls, found a string that is not JSON: expected ident at line 1 column 2",
        ),
        (
            r#"{"system": "S", "conversations": [{"from": "system", "value": "T"}, {"from": "gpt", "value": "Hi"}]}"#,
            "rows.jsonl:1: field `system`: expected no text, as `conversations` begins with a system message, found the string \"S\"",
        ),
        (
            r#"{"instruction": "i", "output": "o", "history": [["q"]]}"#,
            "rows.jsonl:1: field `history[0]`: expected a pair of texts, an instruction and its output, found a list",
        ),
        ("{\"text\": \"t\"}\n{\"text\"}", "rows.jsonl:2:8: expected a JSON object: expected `:`"),
        (
            "{\"text\": \" \"}\n{\"text\": null}",
            "rows.jsonl has no usable rows: 2 have nothing to learn, an empty text or completion",
        ),
        ("\n", "rows.jsonl has no usable rows"),
    ] {
        assert_eq!(read("rows.jsonl", rows).unwrap_err(), message, "{rows}");
    }
}

#[test]
fn bad_rows_can_be_skipped_and_are_counted() {
    let rows = "{\"text\": \"a\"}\n{\"text\": 3}\n{\"prompt\": \"p\", \"completion\": \"c\"}\n{\"text\": \"\"}\n{\"text\": \"b\"}";
    let options = TextOptions { on_bad_row: OnBadRow::Skip, ..all() };
    let data = read_as("rows.jsonl", rows, &options).unwrap();
    let report = &data.summary.report;
    assert_eq!((data.train.len(), report.rows, report.bad_rows, report.empty), (2, 5, 2, 1));
    assert!(report.bad[1].contains("rows.jsonl:3: the shape of the row is completion"), "{report:?}");
    assert!(report.first_empty.as_ref().unwrap().ends_with("rows.jsonl:4"));
    let error = read_as("rows.jsonl", "{\"text\": 3}\n{\"text\": null}", &options).unwrap_err();
    assert!(
        error.starts_with("rows.jsonl has no usable rows: 1 have nothing to learn and 1 are bad, first"),
        "{error}"
    );
}

#[test]
fn a_conversation_without_an_assistant_is_read_where_it_is_allowed() {
    let row = r#"{"messages": [{"role": "user", "content": "Hi"}]}"#;
    let options = TextOptions { allow_without_assistant: true, ..all() };
    assert_eq!(read_as("rows.jsonl", row, &options).unwrap().train.len(), 1);
}

#[test]
fn fields_are_read_by_the_names_that_a_file_gives_them() {
    let rows = "question,answer,prompt,id\n\"2, 2?\",4,x,1\n3?,\"\",y,2\n";
    let options = fields("[fields]\nprompt = 'question'\ncompletion = 'answer'");
    let data = read_as("rows.csv", rows, &options).unwrap();
    assert_eq!(shown(&data.train[0].content), r#""2, 2?" -> "4""#);
    assert_eq!((data.train.len(), data.summary.report.empty), (1, 1));
    assert_eq!(data.summary.ignored, ["id", "prompt"]);
    // A shape that is set decides between two.
    let row = r#"{"text": "t", "instruction": "i", "output": "o"}"#;
    let data = read_as("rows.jsonl", row, &fields("shape = 'alpaca'")).unwrap();
    assert_eq!((data.summary.shape, data.summary.ignored), (TextShape::Alpaca, vec!["text".to_owned()]));
    let error = read_as("rows.jsonl", row, &fields("shape = 'completion'")).unwrap_err();
    assert_eq!(error, "rows.jsonl:1: field `prompt` is missing; the row has: instruction, output, text");
    let mut wrong = all();
    wrong.fields.fields.insert("answer".into(), "a".into());
    let error = read_as("rows.jsonl", row, &wrong).unwrap_err();
    assert!(error.starts_with("the fields of text data: `fields.answer`: expected a field of text data: "), "{error}");
}

#[test]
fn tables_hold_messages_as_json() {
    let rows = "messages\ttools\n[{\"role\": \"assistant\", \"content\": \"Hi\"}]\t\n";
    let data = read("rows.tsv", rows).unwrap();
    assert_eq!(shown(&data.train[0].content), r#"{"role":"assistant","content":"Hi"}"#);
}

fn texts(from: usize, to: usize) -> String {
    (from..to).map(|i| format!("{{\"text\": \"t{i}\"}}\n")).collect()
}

fn read_folder(folder: &Path, options: &TextOptions) -> TextData {
    TextData::read(&[folder.into()], options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_folder_has_splits_by_their_names() {
    let default = TextOptions::default();
    for (train, validation) in [
        ("train.jsonl", "validation.jsonl"),
        ("data/train-00000-of-00001.jsonl", "data/val.jsonl"),
        ("train/a.jsonl", "dev/b.jsonl"),
    ] {
        let folder = folder(&[(train, &texts(0, 3)), (validation, &texts(3, 5))]);
        let data = read_folder(folder.path(), &default);
        assert_eq!((data.train.len(), data.validation.len()), (3, 2), "{train}");
        assert!(matches!(data.summary.validation, ValidationOrigin::Files { .. }));
    }
    let folder = folder(&[
        ("data/train_sft-00000-of-00001.jsonl", &texts(0, 3)),
        ("data/test_sft-00000-of-00001.jsonl", &texts(3, 5)),
    ]);
    let splits = TextSplits { train: Some("train_sft".into()), validation: Some("test_sft".into()), config: None };
    let data = read_folder(folder.path(), &TextOptions { splits: splits.clone(), ..TextOptions::default() });
    assert_eq!((data.train.len(), data.validation.len()), (3, 2));
    let missing = TextSplits { validation: Some("test".into()), ..splits };
    let error = TextData::read(&[folder.path().into()], &TextOptions { splits: missing, ..default }).unwrap_err();
    assert!(error.to_string().contains("test.jsonl does not exist"), "{error}");
}

#[test]
fn the_files_of_a_folder_without_names_of_splits_are_for_training() {
    let folder = folder(&[
        ("a.jsonl", &texts(0, 3)),
        ("b.jsonl", &texts(3, 20)),
        ("dataset_infos.json", "{}"),
        ("README.md", ""),
    ]);
    let data = read_folder(folder.path(), &TextOptions::default());
    assert_eq!((data.train.len(), data.validation.len()), (18, 2));
    std::fs::write(folder.path().join("c.csv"), "text\nx\n").unwrap();
    let error = TextData::read(&[folder.path().into()], &TextOptions::default()).unwrap_err().to_string();
    assert!(error.contains("a.jsonl") && error.contains("c.csv"), "{error}");
    std::fs::rename(folder.path().join("c.csv"), folder.path().join("test.csv")).unwrap();
    let error = TextData::read(&[folder.path().into()], &TextOptions::default()).unwrap_err().to_string();
    assert!(error.contains("train.jsonl does not exist; its folder has: README.md, a.jsonl"), "{error}");
}

#[test]
fn validation_data_comes_from_where_it_is_said() {
    let folder = folder(&[("a.jsonl", &texts(0, 40)), ("b.jsonl", &texts(38, 42)), ("c.jsonl", &texts(50, 60))]);
    let path = |name: &str| folder.path().join(name);
    let read = |validation| {
        TextData::read(&[path("a.jsonl"), path("c.jsonl")], &TextOptions { validation, ..TextOptions::default() })
    };
    let data = read(Validation::Files(vec![path("b.jsonl")])).unwrap();
    assert_eq!((data.train.len(), data.validation.len(), data.summary.in_both), (50, 4, 2));
    let data = read(Validation::Share(0.3)).unwrap();
    assert_eq!((data.train.len(), data.validation.len(), data.summary.in_both), (35, 15, 0));
    assert_eq!(read(Validation::Share(0.3)).unwrap(), data, "a draw is that of its seed");
    assert_eq!(read(Validation::Split).unwrap().validation.len(), 5);
    assert_eq!(read(Validation::None).unwrap().validation.len(), 0);
    for share in [0.0, 1.0, f64::NAN] {
        let error = read(Validation::Share(share)).unwrap_err().to_string();
        assert!(error.ends_with("expected a number above 0 and below 1"), "{error}");
    }
    let one = TextData::read(
        &[path("a.jsonl")],
        &TextOptions {
            splits: TextSplits { validation: Some("val".into()), ..TextSplits::default() },
            ..TextOptions::default()
        },
    );
    assert!(one.unwrap_err().to_string().contains("val.jsonl"), "a split that is named has to be there");
    std::fs::write(path("a.jsonl"), "{\"text\": \"t\"}\n{\"text\": \"t\"}").unwrap();
    let error = TextData::read(&[path("a.jsonl")], &TextOptions::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "no rows can be drawn for validation from 2 of one content, expected at least two rows that differ"
    );
}

#[test]
fn wrong_paths_are_reported_as_such() {
    let folder = folder(&[("a.txt", "x")]);
    let read = |name: &str| TextData::read(&[folder.path().join(name)], &all()).unwrap_err().to_string();
    assert!(read("b.jsonl").ends_with("b.jsonl does not exist; its folder has: a.txt"), "{}", read("b.jsonl"));
    assert!(read("a.txt").contains("a.txt: expected a name that ends in .jsonl"), "{}", read("a.txt"));
    assert!(read("").contains("train.jsonl does not exist; its folder has: a.txt"), "{}", read(""));
}

#[test]
fn the_summary_says_what_was_done() {
    let rows: String =
        (0..30).map(|i| format!("{{\"text\": \"t{}\", \"id\": {i}, \"url\": null}}\n", i.max(2))).collect();
    let folder = folder(&[("a.jsonl", &format!("{rows}{{\"text\": \"\\n\"}}\n"))]);
    let data =
        TextData::read(&[folder.path().join("a.jsonl")], &TextOptions { seed: 7, ..TextOptions::default() }).unwrap();
    let text = data.summary.to_string().replace(&format!("{}/", folder.path().display()), "");
    let expected = "data: a.jsonl (JSON), shape text\n\
                    train: 27 rows\n\
                    validation: 3 rows, drawn from the training files (as there is no validation data: 10 %, at most 1000 rows, with \
                    seed 7)\n\
                    ignored columns: id, url\n\
                    duplicates: 2 rows of the training files repeat an earlier one of them\n\
                    left out: 1 row with nothing to learn, an empty text or completion, first a.jsonl:31\n";
    assert_eq!(text, expected);
    let json: Value = serde_json::to_value(&data.summary).unwrap();
    assert_eq!(json["validation"], json!({ "drawn": { "share": 0.1, "seed": 7, "is_default": true } }));
    assert_eq!(json["shape"], "text");
}

#[test]
fn the_patterns_for_the_hub_name_the_same_files() {
    let splits = TextSplits { config: Some("all".into()), train: Some("train_sft".into()), validation: None };
    let groups = splits.file_patterns();
    let has = |group: usize, pattern: &str| groups[group].iter().any(|found| found == pattern);
    assert!(has(0, "all/train_sft-*-of-*.parquet") && has(0, "all/dev.jsonl") && !has(0, "all/train.jsonl"));
    assert!(has(1, "data/train_sft.csv.gz") && has(2, "default/train_sft/*.parquet") && has(3, "*.jsonl"));
    assert_eq!(groups.len(), 4);
}

/// Conversations as structures within lists, and columns that nobody reads.
pub(crate) fn conversations_parquet(path: &Path) {
    let schema = "message schema {
        optional group messages (LIST) { repeated group list { optional group element {
            optional binary content (UTF8);
            optional binary name (UTF8);
            optional binary role (UTF8);
            optional group tool_calls (LIST) { repeated group list { optional group element {
                optional binary id (UTF8);
            } } }
        } } }
        required binary picture;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    type Column<'a> = (&'a [&'a [u8]], Option<&'a [i16]>, Option<&'a [i16]>);
    let columns: [Column<'_>; 5] = [
        (&[b"Hi", b"Ho"], Some(&[4, 4, 3]), Some(&[0, 1, 0])),
        (&[b"Ann"], Some(&[4, 3, 3]), Some(&[0, 1, 0])),
        (&[b"user", b"assistant", b"assistant"], Some(&[4, 4, 4]), Some(&[0, 1, 0])),
        (&[b"7"], Some(&[3, 3, 7]), Some(&[0, 1, 0])),
        (&[b"\xff\xd8", b"\xff"], None, None),
    ];
    for (values, definition, repetition) in columns {
        let values: Vec<ByteArray> = values.iter().map(|value| ByteArray::from(value.to_vec())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, definition, repetition).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_holds_messages_as_structures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-00000-of-00001.parquet");
    conversations_parquet(&path);
    let data = read_folder(folder.path(), &all());
    let shown: Vec<String> = data.train.iter().map(|row| shown(&row.content)).collect();
    let expected = [
        r#"{"content":"Hi","name":"Ann","role":"user"} {"content":"Ho","role":"assistant"}"#,
        r#"{"role":"assistant","tool_calls":[{"id":"7"}]}"#,
    ];
    assert_eq!(shown, expected, "a key that a message does not have is null in the file");
    assert_eq!(data.summary.ignored, ["picture"]);
    assert!(data.train[1].origin.to_string().ends_with("parquet: row group 1, row 2"));
}
