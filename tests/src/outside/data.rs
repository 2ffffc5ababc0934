//! Readers of benchmarks, rows and tokenizers.

use super::scratch::Scratch;
use adamole::data::{Benchmark, EncodeOptions, Encoder, OnBadRow, Row, Split, SplitReader, Tokenizer};
use serde_json::{Map, Value, json};

/// Texts with letters, digits, multi-byte characters, spaces and names of special tokens.
const TEXTS: [&str; 4] = ["", "The café closed early. Answer: A", "<s> 12\n\t \u{1f980}</s>", "aa ab ba"];

/// `tokenizer.json`, followed by `tokenizer_config.json`; encodes and decodes some texts.
pub(super) fn tokenizer(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| {
        let (tokenizer, config) = super::halves(bytes);
        scratch.write("tokenizer.json", tokenizer);
        scratch.write("tokenizer_config.json", config.unwrap_or(b"{}"));
        let Ok(tokenizer) = Tokenizer::from_folder(scratch.path()) else { return };
        for text in TEXTS {
            if let Ok(ids) = tokenizer.encode_text(text) {
                drop(tokenizer.decode(&ids));
                drop(tokenizer.names(&ids));
            }
        }
        let item = Benchmark::by_name("copa").ok().and_then(|copa| copa.question(&rows()[0], 1).ok()?);
        if let (Ok(encoder), Some(item)) = (Encoder::new(&tokenizer, &EncodeOptions::default()), item) {
            drop(encoder.encode(&[item]));
        }
    });
}

/// Rows in JSON Lines; the first byte selects the benchmark.
pub(super) fn json_lines(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| {
        let (choice, rows) = choice(bytes);
        scratch.write("train.jsonl", rows);
        read_all(built_in(choice), scratch);
    });
}

/// Rows in CSV or TSV; the first byte selects the separator and the benchmark.
pub(super) fn separated(bytes: &[u8]) {
    thread_local!(static SCRATCHES: [Scratch; 2] = [Scratch::new(), Scratch::new()]);
    SCRATCHES.with(|scratches| {
        let (choice, rows) = choice(bytes);
        let which = usize::from(choice % 2 == 1);
        scratches[which].write(["train.csv", "train.tsv"][which], rows);
        read_all(built_in(choice / 2), &scratches[which]);
    });
}

/// Rows in Parquet; the first byte selects the benchmark.
pub(super) fn parquet(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| {
        let (choice, rows) = choice(bytes);
        scratch.write("train.parquet", rows);
        read_all(built_in(choice), scratch);
    });
}

/// The definition of a benchmark, applied to [`rows`].
pub(super) fn benchmark(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| {
        let path = scratch.write("mine.toml", bytes);
        let Ok(benchmark) = Benchmark::from_file(&path) else { return };
        for (number, row) in rows().into_iter().enumerate() {
            for part in benchmark.parts() {
                drop(part.question(&row, number));
            }
        }
    });
}

/// Rows with fields of several benchmarks.
fn rows() -> [Row; 4] {
    let row = |value| match value {
        Value::Object(fields) => Row::new(fields),
        _ => Row::new(Map::new()),
    };
    [
        row(
            json!({ "premise": "The café closed.", "question": "effect", "choice1": "One", "choice2": "Two", "label": 0 }),
        ),
        row(json!({})),
        row(json!({
            "q": "What is it?", "a": "One", "b": "Two", "label": 1, "premise": "The café closed.", "idx": 7,
            "question": { "stem": "What?", "choices": [{ "label": "A", "text": "One" }] }, "answer": "B",
            "choices": { "label": ["A", "B"], "text": ["One", "Two"] }, "list": ["One", "Two", "Three"],
            "start": 4, "end": 9, "word": "café", "image": null,
        })),
        row(
            json!({ "q": "", "a": "", "b": "", "label": -1, "list": [], "start": 1_000_000, "end": -1, "answer": true }),
        ),
    ]
}

fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}

fn built_in(choice: u8) -> &'static Benchmark {
    let all = Benchmark::all();
    &all[usize::from(choice) % all.len()]
}

fn read_all(benchmark: &Benchmark, scratch: &Scratch) {
    for part in benchmark.parts() {
        let Ok(reader) = SplitReader::open(part, scratch.path(), Split::Train) else { continue };
        reader.on_bad_row(OnBadRow::Skip).for_each(drop);
    }
}
