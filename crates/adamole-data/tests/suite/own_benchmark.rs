//! A benchmark of one's own: a TOML file, and rows in every format that is read.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use adamole_data::{Benchmark, DataError, OnBadRow, RowReader, Split, SplitItems, read_split};
use flate2::{Compression, write::GzEncoder};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use tempfile::TempDir;

const RIDDLES: &str = r#"
name = "riddles"
prompt = """
{hint?}
Riddle: {riddle}
Choices:
{choices}
Answer:"""
passage = "riddle"
choices = ["{one}", "{two}", "none of these"]
answer = { index = "right", first = 1 }
files = { train = "my_riddles.csv", validation = "dev.jsonl" }
"#;

fn riddles(folder: &TempDir, definition: &str) -> Result<Benchmark, DataError> {
    let path = folder.path().join("riddles.toml");
    std::fs::write(&path, definition).unwrap();
    Benchmark::from_file(&path)
}

fn read(benchmark: &Benchmark, folder: &Path, split: Split, on_bad_row: OnBadRow) -> Result<SplitItems, DataError> {
    read_split(benchmark, folder, split, None, on_bad_row)
}

#[test]
fn a_table_becomes_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let riddles = riddles(&folder, RIDDLES).unwrap();
    let table = "\u{feff}riddle,one,two,right,hint\n\
                 \"What has keys, but no locks?\",a piano,a door,1,\n\
                 \"Two\nlines\",x,\"say \"\"y\"\"\",3,Think\n";
    std::fs::write(folder.path().join("my_riddles.csv"), table).unwrap();
    let items = read(&riddles, folder.path(), Split::Train, OnBadRow::Fail).unwrap().items;
    assert_eq!(
        items[0].text().unwrap(),
        "Riddle: What has keys, but no locks?\nChoices:\nA. a piano\nB. a door\nC. none of these\nAnswer: A"
    );
    assert_eq!(&items[0].prompt[items[0].passage.clone().unwrap()], "What has keys, but no locks?");
    assert_eq!(items[1].text().unwrap().lines().next(), Some("Think"));
    assert_eq!((items[1].row, items[1].answer, items[1].choices[1].text.as_str()), (3, Some(2), "say \"y\""));
}

#[test]
fn bad_records_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let riddles = riddles(&folder, RIDDLES).unwrap();
    let path = folder.path().join("my_riddles.csv");
    let good = "r,1,2,1,";
    std::fs::write(&path, format!("riddle,one,two,right,hint\nr,1,2\n{good}\nr,1,2,9,\nr,1,2,x,\nr,1,2,,\n")).unwrap();
    let SplitItems { items, report } = read(&riddles, folder.path(), Split::Train, OnBadRow::Skip).unwrap();
    assert_eq!(items.iter().map(|item| (item.row, item.answer)).collect::<Vec<_>>(), [(3, Some(0)), (6, None)]);
    assert_eq!((report.bad_rows, report.unlabelled), (3, 1));
    for (bad, expected) in report.bad.iter().zip([
        "my_riddles.csv:2: expected 5 cells, one for each column, found 3",
        "my_riddles.csv:4: field `right`: expected a label among 1..=3, found the string \"9\"",
        "my_riddles.csv:5: field `right`: expected an integer, found the string \"x\"",
    ]) {
        assert!(bad.ends_with(expected), "{bad}");
    }
    std::fs::write(&path, "riddle,one,two,right,riddle\n").unwrap();
    let error = read(&riddles, folder.path(), Split::Train, OnBadRow::Skip).unwrap_err().to_string();
    assert!(error.contains("found \"riddle\" twice"), "{error}");
    // A quote that is never closed must not pull the whole file into memory.
    std::fs::write(&path, format!("riddle,one,two,right,hint\n\"{}", "x\n".repeat(20 << 20))).unwrap();
    let error = read(&riddles, folder.path(), Split::Train, OnBadRow::Skip).unwrap_err();
    assert!(matches!(&error, DataError::OpenQuote { .. }), "{error}");
}

#[test]
fn a_missing_field_is_no_unlabelled_row() {
    let folder = tempfile::tempdir().unwrap();
    let riddles = riddles(&folder, RIDDLES).unwrap();
    std::fs::write(folder.path().join("dev.jsonl"), r#"{"riddle": "r", "one": "1", "two": "2", "wrong": 1}"#).unwrap();
    let error = read(&riddles, folder.path(), Split::Validation, OnBadRow::Fail).unwrap_err().to_string();
    assert!(error.ends_with("field `right` is missing; the row has: one, riddle, two, wrong"), "{error}");
}

#[test]
fn a_definition_that_is_none_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let error = riddles(&folder, &RIDDLES.replace("{one}", "{one")).unwrap_err().to_string();
    assert!(error.contains("riddles.toml: not a benchmark") && error.contains("`{` without `}`"), "{error}");
    assert!(error.contains("line 10"), "{error}");
    let error = riddles(&folder, &RIDDLES.replace("dev.jsonl", "dev.xlsx")).unwrap();
    let error = read(&error, folder.path(), Split::Validation, OnBadRow::Fail).unwrap_err().to_string();
    assert!(error.contains("dev.xlsx: expected a name that ends in .jsonl"), "{error}");
    assert!(matches!(Benchmark::from_file(&folder.path().join("no.toml")), Err(DataError::MissingFile { .. })));
}

const COPA: &str =
    "{\"premise\": \"P\", \"choice1\": \"x\", \"choice2\": \"y\", \"question\": \"cause\", \"label\": 1}\n";

fn compressed(text: &str, ending: &str) -> Vec<u8> {
    match ending {
        "gz" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }
        "zst" => zstd::encode_all(text.as_bytes(), 1).unwrap(),
        _ => text.into(),
    }
}

#[test]
fn compressed_files_are_read_whole_or_not_at_all() {
    let copa = Benchmark::by_name("copa").unwrap();
    for ending in ["gz", "zst"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("train.jsonl.{ending}"));
        // Two members one after the other, as `cat a.gz b.gz` makes them.
        let bytes = [compressed(COPA, ending), compressed(&COPA.repeat(3000), ending)].concat();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(copa, folder.path(), Split::Train, OnBadRow::Fail).unwrap().items.len(), 3001);
        for cut in [bytes.len() - 1, bytes.len() / 2, 12] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let error = read(copa, folder.path(), Split::Train, OnBadRow::Skip).unwrap_err();
            assert!(matches!(&error, DataError::Io { path: named, .. } if *named == path), "{error}");
        }
    }
}

/// Values, definition levels and repetition levels.
type Column<'a> = (&'a [&'a str], &'a [i16], Option<&'a [i16]>);

/// A file of ScienceQA's schema with `groups` row groups of two rows, of which the second has an image.
pub(crate) fn scienceqa_parquet(path: &Path, groups: usize) {
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional binary question (UTF8);
        optional group choices (LIST) { repeated group list { optional binary element (UTF8); } }
        optional int64 answer;
        optional binary hint (UTF8);
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|text| ByteArray::from(*text)).collect::<Vec<_>>();
    for group in 0..groups {
        let mut row_group = writer.next_row_group().unwrap();
        // Definition levels: null image in the first row; an image with bytes and without a path in the second.
        let columns: [Column<'_>; 5] = [
            (&["PNG"], &[0, 2], None),
            (&[], &[0, 1], None),
            (&["Which?", "What is shown?"], &[1, 1], None),
            (&["a", "b", "c", "x", "y"], &[3, 3, 3, 3, 3], Some(&[0, 1, 1, 0, 1])),
            (&["a hint", "a hint"], &[1, 1], None),
        ];
        for (i, (values, definition, repetition)) in columns.into_iter().enumerate() {
            if i == 4 {
                let mut column = row_group.next_column().unwrap().unwrap();
                let answer = if group == 1 { 7 } else { 2 };
                column.typed::<Int64Type>().write_batch(&[answer, 0], Some(&[1, 1]), None).unwrap();
                column.close().unwrap();
            }
            let mut column = row_group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&texts(values), Some(definition), repetition).unwrap();
            column.close().unwrap();
        }
        row_group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn parquet_rows_are_read_with_their_lists_and_without_their_images() {
    let folder = tempfile::tempdir().unwrap();
    scienceqa_parquet(&folder.path().join("train-00000-of-00001.parquet"), 3);
    let scienceqa = Benchmark::by_name("scienceqa").unwrap();
    let SplitItems { items, report } = read(scienceqa, folder.path(), Split::Train, OnBadRow::Skip).unwrap();
    assert_eq!((report.rows, report.left_out, report.bad_rows, items.len()), (6, 3, 1, 2));
    assert_eq!(items[0].text().unwrap(), "Question: Which?\nChoices:\nA. a\nB. b\nC. c\nAnswer: C");
    assert_eq!(items.iter().map(|item| item.row).collect::<Vec<_>>(), [1, 5]);
    assert!(
        report.bad[0].contains("parquet: row group 2, row 1: field `answer`: expected a label among -1..=2, found")
    );
    let row = RowReader::open(scienceqa, folder.path(), Split::Train).unwrap().nth(1).unwrap().unwrap();
    assert!(row.row.has("image") && !row.row.has("image.bytes") && !row.row.has("hint"), "{row:?}");
}

#[test]
fn parquet_of_another_schema_is_refused_by_the_fields_that_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    scienceqa_parquet(&folder.path().join("train.parquet"), 1);
    let copa = Benchmark::by_name("copa").unwrap();
    let error = read(copa, folder.path(), Split::Train, OnBadRow::Fail).unwrap_err().to_string();
    let expected = "row group 1, row 1: field `choice1` is missing; the row has: answer, choices, hint, image, question \
         (the row after it is alike)";
    assert!(error.ends_with(expected), "{error}");
    std::fs::write(folder.path().join("train.parquet"), "PAR1 and nothing more").unwrap();
    let error = read(copa, folder.path(), Split::Train, OnBadRow::Fail).unwrap_err();
    assert!(matches!(error, DataError::InvalidParquet { .. }), "{error}");
}
