//! What Parquet's values become, whatever its writers declare.

use std::path::Path;
use std::sync::Arc;

use adamole_data::{Benchmark, DataError, MultipleChoice, OnBadRow, Split, read_split};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType};
use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

/// A row of CB whose texts are bytes, with a picture that nobody reads.
fn write(path: &Path, premise: &[u8], label: f64) {
    let schema = "message schema {
        required binary premise;
        required fixed_len_byte_array(8) hypothesis;
        required double label;
        required binary picture;
        required binary note (UTF8);
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(std::fs::File::create(path).unwrap(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let not_utf8 = ByteArray::from(vec![0xff_u8, 0xd8]);
    for i in 0..5 {
        let mut column = group.next_column().unwrap().unwrap();
        let written = match i {
            0 => column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(premise.to_vec())], None, None),
            1 => {
                let text = FixedLenByteArray::from(b"it is\0\0\0".to_vec());
                column.typed::<FixedLenByteArrayType>().write_batch(&[text], None, None)
            }
            2 => column.typed::<DoubleType>().write_batch(&[label], None, None),
            _ => column.typed::<ByteArrayType>().write_batch(std::slice::from_ref(&not_utf8), None, None),
        };
        written.unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn read(premise: &[u8], label: f64, benchmark: &Benchmark) -> Result<MultipleChoice, DataError> {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("train.parquet"), premise, label);
    let split = read_split(benchmark, folder.path(), Split::Train, None, OnBadRow::Fail)?;
    Ok(split.items[0].clone())
}

#[test]
fn bytes_are_texts_and_floats_are_labels() {
    let cb = Benchmark::by_name("cb").unwrap();
    let item = read("caf\u{e9}".as_bytes(), 2.0, cb).unwrap();
    assert!(item.prompt.starts_with("Text: caf\u{e9}\nHypothesis: it is\n"), "{}", item.prompt);
    assert_eq!(item.answer, Some(2));
    for (premise, label, expected) in [
        (&b"caf\xe9"[..], 2.0, "field `premise`: expected a text, found 4 bytes that are not UTF-8 from byte 4 on"),
        (b"x", 1.5, "field `label`: expected a label among -1..=2"),
        (b"x", f64::NAN, "field `label`: expected a finite number, found NaN"),
    ] {
        let error = read(premise, label, cb).unwrap_err().to_string();
        assert!(error.contains("train.parquet: row group 1, row 1: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn the_column_that_cannot_be_decoded_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let definition = "name = 'mine'\nprompt = \"{premise} {note}\\n{choices}\\nAnswer:\"\nchoices = ['a', 'b']\n\
                      answer = { index = 'label' }\n";
    std::fs::write(&path, definition).unwrap();
    let error = read(b"x", 1.0, &Benchmark::from_file(&path).unwrap()).unwrap_err().to_string();
    assert!(error.contains("column `note`: ") && !error.contains("255"), "{error}");
}
