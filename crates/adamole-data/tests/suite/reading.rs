//! Files to items, and what is said about files that are not as they should be.

use adamole_data::{Benchmark, DataError, Item, RowError, Split, SplitReader, read_split, require_labels};
use tempfile::TempDir;

const COPA: &str = r#"{"premise": "P", "choice1": "x", "choice2": "y", "question": "cause", "idx": 0, "label": 1}"#;

fn folder_with(train: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.jsonl"), train).unwrap();
    folder
}

fn read(benchmark: &str, train: impl AsRef<[u8]>) -> Result<Vec<Item>, DataError> {
    read_split(Benchmark::by_name(benchmark).unwrap(), folder_with(train).path(), Split::Train, None)
}

/// The message of the error, without the folder's name.
fn message(benchmark: &str, train: impl AsRef<[u8]>) -> String {
    let message = read(benchmark, train).unwrap_err().to_string();
    message.split_once("train.jsonl").unwrap_or_else(|| panic!("no file name: {message}")).1.into()
}

#[test]
fn rows_keep_their_line_numbers() {
    let items = read("copa", format!("\u{feff}{COPA}\r\n\n  \n{COPA}")).unwrap();
    assert_eq!(items.iter().map(|item| item.id).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(items[0].answer, Some(1));
    assert_eq!(items[0].text().unwrap(), format!("{}B", items[0].prompt_published()));
}

#[test]
fn a_limit_stops_the_reading() {
    let folder = folder_with(format!("{COPA}\n{COPA}\nnot read"));
    let copa = Benchmark::by_name("copa").unwrap();
    assert_eq!(read_split(copa, folder.path(), Split::Train, Some(2)).unwrap().len(), 2);
    assert_eq!(read_split(copa, folder.path(), Split::Train, Some(0)).unwrap().len(), 0);
}

#[test]
fn questions_about_images_are_counted() {
    let with_image =
        r#"{"image": {"bytes": "", "path": "a.png"}, "question": "q", "choices": ["a", "b"], "answer": 0}"#;
    let without = r#"{"image": null, "question": "q", "choices": ["a", "b", "c"], "answer": 2}"#;
    let folder = folder_with(format!("{with_image}\n{without}\n{with_image}"));
    let scienceqa = Benchmark::by_name("scienceqa").unwrap();
    let mut reader = SplitReader::open(scienceqa, folder.path(), Split::Train).unwrap();
    let items: Vec<Item> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!((items.len(), items[0].id, items[0].choices.len(), reader.skipped()), (1, 2, 3, 2));
    assert_eq!(message("scienceqa", with_image), " has no rows without an image (1 rows with one were skipped)");
}

#[test]
fn a_missing_file_names_those_that_are_there() {
    let folder = folder_with(COPA);
    let copa = Benchmark::by_name("copa").unwrap();
    let error = read_split(copa, folder.path(), Split::Validation, None).unwrap_err().to_string();
    assert!(error.ends_with("validation.jsonl does not exist; its folder has: train.jsonl"), "{error}");
    let error = read_split(copa, &folder.path().join("no"), Split::Test, None).unwrap_err().to_string();
    assert!(error.ends_with("test.jsonl does not exist; neither does its folder"), "{error}");
}

#[test]
fn broken_text_is_reported_with_its_line() {
    let bad_json = format!("{COPA}\n\n{{\"premise\": \"P\",}}\n{COPA}");
    assert_eq!(message("copa", bad_json), ":3:17: expected a JSON object: trailing comma");
    assert_eq!(message("copa", "[1]"), ":1:0: expected a JSON object: invalid type: sequence, expected a map");
    let latin1 = [COPA.as_bytes(), b"\n{\"premise\": \"caf\xe9\"}"].concat();
    assert_eq!(message("copa", latin1), ":2: not valid UTF-8 from byte 17 of the line on");
    assert_eq!(message("copa", "\n \n"), " has no rows");
}

#[test]
fn a_bad_field_is_reported_by_name() {
    let missing = COPA.replace("choice2", "choice_2");
    assert_eq!(
        message("copa", format!("{COPA}\n{missing}")),
        ":2: field `choice2` is missing; the row has: choice1, choice_2, idx, label, premise, question"
    );
    let typed = COPA.replace(r#""label": 1"#, r#""label": "1""#);
    assert_eq!(message("copa", typed), ":1: field `label`: expected an integer, found the string \"1\"");
    let nested = r#"{"question": "q", "choices": {"label": ["A", "B"], "text": ["x", 3]}, "answerKey": "A"}"#;
    assert_eq!(message("commonsense_qa", nested), ":1: field `choices.text[1]`: expected a string, found the number 3");
    let uneven = nested.replace(", 3", r#", "y", "z""#);
    assert_eq!(message("commonsense_qa", uneven), ":1: field `choices.text`: expected 2 texts, one per label, found 3");
}

#[test]
fn a_label_without_its_choice_is_an_error() {
    for (label, found) in [("2", "2"), ("-2", "-2")] {
        let row = COPA.replace(r#""label": 1"#, &format!(r#""label": {label}"#));
        let expected = format!(":1: field `label`: expected a label among -1..=1, found the number {found}");
        assert_eq!(message("copa", row), expected);
    }
    let social = r#"{"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c", "label": "0"}"#;
    let error = read("social_i_qa", social).unwrap_err();
    assert!(matches!(&error, DataError::Row { line: 1, problem: RowError::LabelOutOfRange { .. }, .. }), "{error}");
}

#[test]
fn unlabelled_rows_are_found_by_their_line() {
    let unlabelled = COPA.replace(r#""label": 1"#, r#""label": -1"#);
    let items = read("copa", format!("{COPA}\n\n{unlabelled}")).unwrap();
    assert_eq!(items[1].answer, None);
    assert_eq!(items[1].text(), None);
    assert!(matches!(require_labels(&items), Err(DataError::Unlabelled { line: 3 })));
    require_labels(&items[..1]).unwrap();
}
