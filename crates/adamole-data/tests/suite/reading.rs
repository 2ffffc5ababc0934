//! Files to items, and what is said about files that are not as they should be.

use adamole_data::{
    Benchmark, DataError, MultipleChoice, OnBadRow, RowError, Split, SplitItems, SplitReader, read_split,
    require_labels,
};
use tempfile::TempDir;

const COPA: &str = r#"{"premise": "P", "choice1": "x", "choice2": "y", "question": "cause", "idx": 0, "label": 1}"#;

fn folder_with(train: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.jsonl"), train).unwrap();
    folder
}

fn read_with(benchmark: &str, train: impl AsRef<[u8]>, on_bad_row: OnBadRow) -> Result<SplitItems, DataError> {
    read_split(Benchmark::by_name(benchmark).unwrap(), folder_with(train).path(), Split::Train, None, on_bad_row)
}

fn read(benchmark: &str, train: impl AsRef<[u8]>) -> Result<Vec<MultipleChoice>, DataError> {
    read_with(benchmark, train, OnBadRow::Fail).map(|split| split.items)
}

/// The message of the error, without the folder's name.
fn message(benchmark: &str, train: impl AsRef<[u8]>) -> String {
    let message = read(benchmark, train).unwrap_err().to_string();
    message.split_once("train.jsonl").unwrap_or_else(|| panic!("no file name: {message}")).1.into()
}

#[test]
fn rows_keep_their_line_numbers() {
    let items = read("copa", format!("\u{feff}{COPA}\r\n\n  \n{COPA}")).unwrap();
    assert_eq!(items.iter().map(|item| item.row).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(items[0].answer, Some(1));
    assert_eq!(items[0].text().unwrap(), format!("{}B", items[0].prompt_published()));
}

#[test]
fn a_limit_stops_the_reading() {
    let folder = folder_with(format!("{COPA}\n{COPA}\nnot read"));
    let copa = Benchmark::by_name("copa").unwrap();
    for limit in [2, 0] {
        let split = read_split(copa, folder.path(), Split::Train, Some(limit), OnBadRow::Fail).unwrap();
        assert_eq!((split.items.len(), split.report.rows), (limit, limit));
    }
}

#[test]
fn questions_about_images_are_counted() {
    let with_image =
        r#"{"image": {"bytes": "", "path": "a.png"}, "question": "q", "choices": ["a", "b"], "answer": 0}"#;
    let without = r#"{"image": null, "question": "q", "choices": ["a", "b", "c"], "answer": 2}"#;
    let folder = folder_with(format!("{with_image}\n{without}\n{with_image}"));
    let scienceqa = Benchmark::by_name("scienceqa").unwrap();
    let mut reader = SplitReader::open(scienceqa, folder.path(), Split::Train).unwrap();
    let items: Vec<MultipleChoice> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!((items.len(), items[0].row, items[0].choices.len(), reader.report().left_out), (1, 2, 3, 2));
    assert_eq!(
        message("scienceqa", with_image),
        " has no usable rows: 1 were left out, as questions about an image are"
    );
}

#[test]
fn a_missing_file_names_those_that_are_there() {
    let folder = folder_with(COPA);
    let copa = Benchmark::by_name("copa").unwrap();
    let error = read_split(copa, folder.path(), Split::Validation, None, OnBadRow::Fail).unwrap_err().to_string();
    assert!(error.ends_with("validation.jsonl does not exist; its folder has: train.jsonl"), "{error}");
    let error = read_split(copa, &folder.path().join("no"), Split::Test, None, OnBadRow::Fail).unwrap_err().to_string();
    assert!(error.ends_with("test.jsonl does not exist; neither does its folder"), "{error}");
}

#[test]
fn broken_text_is_reported_with_its_line() {
    let bad_json = format!("{COPA}\n\n{{\"premise\": \"P\",}}\n{COPA}");
    assert_eq!(message("copa", bad_json), ":3:17: expected a JSON object: trailing comma");
    assert_eq!(message("copa", "[1]"), ":1:2: the list of rows breaks off: expected an object or `]`");
    let latin1 = [COPA.as_bytes(), b"\n{\"premise\": \"caf\xe9\"}"].concat();
    assert_eq!(message("copa", latin1), ":2: not valid UTF-8 from byte 17 on");
    assert_eq!(message("copa", "\n \n"), " has no usable rows");
}

#[test]
fn a_bad_field_is_reported_by_name() {
    let missing = COPA.replace("choice2", "choice_2");
    assert_eq!(
        message("copa", format!("{COPA}\n{missing}")),
        ":2: field `choice2` is missing; the row has: choice1, choice_2, idx, label, premise, question"
    );
    let typed = COPA.replace(r#""label": 1"#, r#""label": 1.5"#);
    assert_eq!(message("copa", typed), ":1: field `label`: expected an integer, found the number 1.5");
    let nested = r#"{"question": "q", "choices": {"label": ["A", "B"], "text": ["x", 3]}, "answerKey": "A"}"#;
    let stem = nested.replace(r#""question": "q""#, r#""question": {"stem": 4}"#).replace(", 3", r#", "y""#);
    assert_eq!(message("commonsense_qa", stem), ":1: field `question.stem`: expected a string, found the number 4");
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
    assert!(matches!(&error, DataError::EveryRow { problem: RowError::LabelOutOfRange { .. }, .. }), "{error}");
}

#[test]
fn unlabelled_rows_are_found_by_their_line() {
    let unlabelled = COPA.replace(r#""label": 1"#, r#""label": -1"#);
    let items = read("copa", format!("{COPA}\n\n{unlabelled}")).unwrap();
    assert_eq!(items[1].answer, None);
    assert_eq!(items[1].text(), None);
    assert!(matches!(require_labels(&items), Err(DataError::Unlabelled { row: 3, .. })));
    require_labels(&items[..1]).unwrap();
}

#[test]
fn bad_rows_are_skipped_counted_and_named() {
    let bad_label = COPA.replace(r#""label": 1"#, r#""label": 5"#);
    let lines = [COPA.as_bytes(), b"not json", COPA.as_bytes(), b"\xff", bad_label.as_bytes(), COPA.as_bytes()];
    let SplitItems { items, report } = read_with("copa", lines.join(&b"\n"[..]), OnBadRow::Skip).unwrap();
    assert_eq!(items.iter().map(|item| item.row).collect::<Vec<_>>(), [1, 3, 6]);
    assert_eq!((report.rows, report.items, report.left_out, report.bad_rows), (6, 3, 0, 3));
    let places = ["train.jsonl:2:2: expected a JSON", "train.jsonl:4: not valid UTF-8", "train.jsonl:5: field `label`"];
    for (bad, place) in report.bad.iter().zip(places) {
        assert!(bad.contains(place), "{bad}");
    }
    let error = read_with("copa", "{}\n[]", OnBadRow::Skip).unwrap_err().to_string();
    assert!(error.contains("has no usable rows: 0 were left out and 2 are bad, first"), "{error}");
}

#[test]
fn a_bad_row_is_told_from_a_file_of_another_kind() {
    let other = r#"{"text": "P"}"#;
    let error = message("copa", format!("{other}\n{other}\n{other}"));
    assert!(error.starts_with(":1: field `") && error.ends_with("(the 2 rows after it are alike)"), "{error}");
    let error = message("copa", format!("{other}\n{other}\n{COPA}"));
    assert!(error.ends_with("the row has: text"), "{error}");
    let folder = folder_with(format!("{other}\n{COPA}\n{COPA}"));
    let rows = SplitReader::open(Benchmark::by_name("copa").unwrap(), folder.path(), Split::Train).unwrap();
    let rows: Vec<bool> = rows.map(|row| row.is_ok()).collect();
    assert_eq!(rows, [false, true, true], "rows that were looked at are handed out");
}

#[test]
fn lists_of_rows_and_pipes_and_links_are_told_from_lines() {
    let list = format!("[\n{COPA},\n{}]", COPA.replace(r#""label": 1"#, r#""label": 0.0"#));
    let items = read("copa", &list).unwrap();
    assert_eq!(items.iter().map(|item| (item.row, item.answer)).collect::<Vec<_>>(), [(1, Some(1)), (2, Some(0))]);
    let error = message("copa", list.replace(r#""label": 0.0"#, r#""label": null, "label": 7"#));
    assert_eq!(error, ": row 2: field `label`: expected a label among -1..=1, found the number 7");
    for (bytes, found) in [
        (COPA.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(), "text in UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".into(), "a pointer of Git LFS"),
        (b"\x1f\x8b\x08\0\0".into(), "compressed with gzip"),
    ] {
        assert!(message("copa", bytes).contains(found), "{found}");
    }
    let folder = tempfile::tempdir().unwrap();
    let read = || read_split(Benchmark::by_name("copa").unwrap(), folder.path(), Split::Train, None, OnBadRow::Skip);
    std::os::unix::fs::symlink("gone", folder.path().join("train.jsonl")).unwrap();
    let error = read().unwrap_err().to_string();
    assert!(error.ends_with("train.jsonl is a link to gone, which does not exist"), "{error}");
    std::fs::remove_file(folder.path().join("train.jsonl")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.path().join("train.jsonl")).status().unwrap().success());
    let error = read().unwrap_err().to_string();
    assert!(error.ends_with("train.jsonl is a pipe, a socket or a device, expected a file"), "{error}");
}

#[test]
fn a_split_that_is_published_without_labels_may_lack_their_field() {
    let folder = tempfile::tempdir().unwrap();
    let row = r#"{"question": "q", "passage": "p", "idx": 0}"#;
    for split in ["train", "test"] {
        std::fs::write(folder.path().join(format!("{split}.jsonl")), row).unwrap();
    }
    let read = |split| read_split(Benchmark::by_name("boolq").unwrap(), folder.path(), split, None, OnBadRow::Fail);
    assert_eq!(read(Split::Test).unwrap().items[0].answer, None);
    let error = read(Split::Train).unwrap_err().to_string();
    assert!(error.ends_with("field `label|answer` is missing; the row has: idx, passage, question"), "{error}");
}

#[test]
fn after_a_bad_row_the_rest_can_be_read() {
    let folder = folder_with(format!("{COPA}\n{{\n{COPA}"));
    let copa = Benchmark::by_name("copa").unwrap();
    let rows: Vec<bool> =
        SplitReader::open(copa, folder.path(), Split::Train).unwrap().map(|row| row.is_ok()).collect();
    assert_eq!(rows, [true, false, true]);
}

#[test]
fn a_line_that_would_fill_the_memory_is_passed_over() {
    let long = format!("{{\"premise\": \"{}\"}}", "x".repeat(17 << 20));
    let SplitItems { items, report } = read_with("copa", format!("{long}\n{COPA}"), OnBadRow::Skip).unwrap();
    assert_eq!((items.len(), items[0].row), (1, 2));
    assert!(report.bad[0].ends_with("train.jsonl:1: the line is longer than 16 MiB"), "{:?}", report.bad);
}

#[test]
fn shards_are_read_in_order_and_counted_on() {
    let folder = tempfile::tempdir().unwrap();
    for (shard, rows) in [(1, 1), (0, 2)] {
        let path = folder.path().join(format!("train-0000{shard}-of-00002.jsonl"));
        std::fs::write(path, vec![COPA; rows].join("\n")).unwrap();
    }
    let copa = Benchmark::by_name("copa").unwrap();
    let items = read_split(copa, folder.path(), Split::Train, None, OnBadRow::Fail).unwrap().items;
    assert_eq!(items.iter().map(|item| item.row).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_mixture_is_its_parts_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    for (name, row) in [
        ("boolq", r#"{"passage": "p", "question": "q", "label": 1}"#),
        ("cb", r#"{"premise": "p", "hypothesis": "h", "label": 2}"#),
        ("copa", COPA),
        ("rte", r#"{"premise": "p", "hypothesis": "h", "label": 0}"#),
        (
            "wic",
            r#"{"sentence1": "a b", "start1": 0, "end1": 1, "sentence2": "a b", "start2": 2, "end2": 3, "label": 0}"#,
        ),
    ] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("train.jsonl"), format!("{row}\n{row}")).unwrap();
    }
    let mixture = Benchmark::by_name("super_glue").unwrap();
    let items = read_split(mixture, folder.path(), Split::Train, None, OnBadRow::Fail).unwrap().items;
    let names: Vec<(&str, usize)> = items.iter().map(|item| (&*item.benchmark, item.row)).collect();
    assert_eq!(names[..4], [("boolq", 1), ("boolq", 2), ("cb", 1), ("cb", 2)]);
    assert_eq!((names.len(), names[9]), (10, ("wic", 2)));
    std::fs::remove_dir_all(folder.path().join("rte")).unwrap();
    let error = read_split(mixture, folder.path(), Split::Train, None, OnBadRow::Fail).unwrap_err();
    assert!(matches!(error, DataError::MissingFile { .. }), "{error}");
}
