//! Files of any bytes: an error or items, never a panic and never endless work.
//!
//! The bytes are random, or those of a good file with a few changed, cut or repeated. `PROPTEST_CASES` sets how many.

use adamole_data::text::{TextData, TextOptions};
use adamole_data::{Benchmark, EncodeOptions, Encoder, OnBadRow, Split, Tokenizer, read_split};
use proptest::prelude::*;

use crate::own_benchmark::scienceqa_parquet;
use crate::text_rows::conversations_parquet;
use crate::toy_tokenizers::byte_level;

/// Random bytes, or `good` with changes.
fn bytes_like(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = good.len();
    let change = (0..length, any::<u8>(), 0..4_usize);
    let changed = prop::collection::vec(change, 1..8).prop_map(move |changes| {
        let mut bytes = good.clone();
        for (at, byte, kind) in changes {
            let at = at.min(bytes.len().saturating_sub(1));
            match kind {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.truncate(at.max(length / 2)),
                _ => bytes.splice(at..at, [byte; 3]).for_each(drop),
            }
        }
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 4 => changed]
}

const ROWS: &str = concat!(
    r#"{"premise": "Der Fluß stieg.", "choice1": "a", "choice2": "b", "question": "cause", "label": 1}"#,
    "\n",
    r#"{"premise": "P", "choice1": "x", "choice2": "y", "question": "effect", "idx": 7, "label": -1}"#,
    "\n",
);
const TABLE: &str = "premise,choice1,choice2,question,label\nP,\"a, \"\"b\"\"\",c,cause,1\nQ,x,y,effect,0\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn parquet() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    scienceqa_parquet(&path, 2);
    std::fs::read(path).unwrap()
}

fn tokenizer() -> Vec<u8> {
    let (folder, _) = byte_level("AB");
    std::fs::read(folder.path().join("tokenizer.json")).unwrap()
}

fn read(benchmark: &str, file: &str, bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(file), bytes).unwrap();
    let benchmark = Benchmark::by_name(benchmark).unwrap();
    for on_bad_row in [OnBadRow::Fail, OnBadRow::Skip] {
        match read_split(benchmark, folder.path(), Split::Train, None, on_bad_row) {
            Ok(split) => assert_eq!(split.items.len(), split.report.items),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Rows of every shape, of which only those of the first one are read.
const TEXTS: &str = concat!(
    r#"{"messages": [{"role": "user", "content": "Für?"}, {"role": "assistant", "content": null, "tool_calls": [{"a": 1}]}]}"#,
    "\n",
    r#"{"messages": "[{\"role\": \"assistant\", \"content\": [{\"type\": \"text\"}]}]", "tools": "[{}]"}"#,
    "\n",
    r#"{"prompt": [], "completion": [{"role": "assistant", "content": "b"}]}"#,
    "\n",
    r#"{"conversations": [{"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"}], "system": "S"}"#,
    "\n",
    r#"{"instruction": "i", "input": "", "output": "o", "history": [["q", "a"]]}"#,
    "\n",
);

fn read_text(file: &str, bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(file), bytes).unwrap();
    for on_bad_row in [OnBadRow::Fail, OnBadRow::Skip] {
        let options = TextOptions { on_bad_row, ..TextOptions::default() };
        match TextData::read(&[folder.path().into()], &options) {
            Ok(data) => {
                let report = &data.summary.report;
                let rows = data.train.len() + data.validation.len() + report.empty + report.bad_rows;
                assert_eq!(rows, report.rows, "every row is counted once");
                assert!(!data.train.is_empty() && !data.validation.is_empty() && !data.summary.to_string().is_empty());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn conversations() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    conversations_parquet(&path);
    std::fs::read(path).unwrap()
}

proptest! {
    #[test]
    fn rows_of_text(bytes in bytes_like(TEXTS.into())) {
        read_text("train.jsonl", &bytes);
    }

    #[test]
    fn parquet_files_of_text(bytes in bytes_like(conversations())) {
        read_text("train.parquet", &bytes);
    }

    #[test]
    fn json_lines(bytes in bytes_like(ROWS.into())) {
        read("copa", "train.jsonl", &bytes);
    }

    #[test]
    fn tables(bytes in bytes_like(TABLE.into())) {
        read("copa", "train.csv", &bytes);
    }

    #[test]
    fn tables_with_tabs(bytes in bytes_like(TABLE.replace(',', "\t").into())) {
        read("copa", "train.tsv", &bytes);
    }

    #[test]
    fn lists(bytes in bytes_like(format!("[{}]", ROWS.trim_end().replace('\n', ",\n")).into())) {
        read("copa", "train.json", &bytes);
    }

    #[test]
    fn gzip_files(bytes in bytes_like(gzip(ROWS))) {
        read("copa", "train.jsonl.gz", &bytes);
    }

    #[test]
    fn zstandard_files(bytes in bytes_like(zstd::encode_all(ROWS.as_bytes(), 1).unwrap())) {
        read("copa", "train.jsonl.zst", &bytes);
    }

    #[test]
    fn parquet_files(bytes in bytes_like(parquet())) {
        read("scienceqa", "train.parquet", &bytes);
    }

    #[test]
    fn benchmark_files(bytes in prop_oneof![
        bytes_like(include_bytes!("../../benchmarks/wic.toml").into()),
        bytes_like(include_bytes!("../../benchmarks/openbookqa.toml").into()),
    ]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(benchmark) = Benchmark::from_file(&path) {
            prop_assert!((2..=26).contains(&benchmark.published_letters()));
        }
    }

    #[test]
    fn tokenizer_files(bytes in bytes_like(tokenizer())) {
        let (folder, _) = byte_level("AB");
        std::fs::write(folder.path().join("tokenizer.json"), bytes).unwrap();
        if let Ok(tokenizer) = Tokenizer::from_folder(folder.path())
            && let Ok(ids) = tokenizer.encode_text("Question: Żółć?\nAnswer: B")
        {
            let _ = tokenizer.decode(&ids);
        }
    }

    #[test]
    fn special_token_files(bytes in bytes_like(br#"{"bos_token": {"content": "<s>"}, "eos_token": null}"#.into())) {
        let (folder, _) = byte_level("AB");
        std::fs::write(folder.path().join("tokenizer_config.json"), bytes).unwrap();
        let _ = Tokenizer::from_folder(folder.path());
    }

    #[test]
    fn token_caches(change in bytes_like(vec![0; 64]), at in 0..2000_usize) {
        let (_folder, tokenizer) = byte_level("AB");
        let cache = tempfile::tempdir().unwrap();
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("train.jsonl"), ROWS).unwrap();
        let copa = Benchmark::by_name("copa").unwrap();
        let items = read_split(copa, data.path(), Split::Train, None, OnBadRow::Fail).unwrap().items;
        let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap().cached_in(cache.path());
        let examples = encoder.encode(&items).unwrap();
        let path = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes.splice(at..(at + change.len()).min(bytes.len()), change).for_each(drop);
        std::fs::write(path, bytes).unwrap();
        // Token ids may be others, their places may not.
        let found = encoder.encode(&items).unwrap();
        prop_assert_eq!(found.len(), examples.len());
        prop_assert!(found.iter().all(|example| example.answer_at.is_none_or(|at| at < example.text.len())));
    }
}
