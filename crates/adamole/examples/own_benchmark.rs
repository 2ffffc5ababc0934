//! A benchmark of one's own: a TOML file that says how rows become questions, and what a base model scores on it.
//!
//! The program takes the same file: `adamole train --benchmark riddles/riddles.toml --data riddles`.
//!
//! `cargo run --release --example own_benchmark` in `crates/adamole`.

use adamole::{
    data::{Benchmark, EncodeOptions, Encoder, OnBadRow, Split, Tokenizer, read_split},
    llama::load_base,
    train::{Workers, evaluate},
};
use burn::tensor::Device;
use std::{error::Error, fs, path::Path};

const RIDDLES: &str = r#"
name = "riddles"
# {field} is a field of a row, and {choices} the lettered list of its choices.
prompt = """
Riddle: {riddle}
Choices:
{choices}
Answer:"""
choices = ["{first}", "{second}"]
answer = { index = "right", first = 1 }
"#;

const ROWS: &str = r#"{"riddle": "What has keys and no locks?", "first": "a piano", "second": "a door", "right": 1}
{"riddle": "What gets wetter as it dries?", "first": "the sun", "second": "a towel", "right": 2}
{"riddle": "What has hands and cannot clap?", "first": "a clock", "second": "a child", "right": 1}
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("riddles.toml"), RIDDLES)?;
    fs::write(folder.path().join("validation.jsonl"), ROWS)?;

    let benchmark = Benchmark::from_file(&folder.path().join("riddles.toml"))?;
    // A bad row is an error with its file, line, field and value; `OnBadRow::Skip` counts it instead.
    let items = read_split(&benchmark, folder.path(), Split::Validation, None, OnBadRow::Fail)?.items;
    assert_eq!(items.len(), 3);

    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base");
    let tokenizer = Tokenizer::from_folder(&base)?;
    let examples = Encoder::new(&tokenizer, &EncodeOptions::default())?.encode(&items)?;
    eprintln!("as the model sees the first item:\n{}\n", tokenizer.decode(&examples[0].prompt)?);

    let device = Device::default();
    let model = load_base(&base, &device)?;
    // An answer is the letter that scores highest after the prompt.
    let result = evaluate(&model, &examples, &Workers::new(1), &device)?;
    for answer in &result.predictions {
        eprintln!("item {}: {:?}, right is {:?}", answer.item, answer.predicted, answer.answer);
    }
    eprintln!("{} of {} right", result.correct, result.items);
    assert_eq!(result.items, 3);
    Ok(())
}
