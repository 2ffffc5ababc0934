//! The published data sets with Llama 2's tokenizer, where they are at hand: `ADAMOLE_SHARED` names a folder with
//! `data/<benchmark>/<split>.jsonl`, `tokenizers/llama2/` and `golden/tokenize/`. They may not be shipped with the
//! crate.

use std::path::{Path, PathBuf};
use std::time::Instant;

use adamole_data::{
    Batch, Benchmark, Choice, DataError, EncodeOptions, Encoder, Example, Item, LabelScope, Split, SplitReader,
    Tokenizer, plan_epoch,
};
use serde_json::Value;

/// Items of each split whose letters are all tokenised in full.
const SAMPLE: usize = 500;

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("ADAMOLE_SHARED").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: ADAMOLE_SHARED is not set");
    }
    folder
}

fn folder(shared: &Path, benchmark: &Benchmark) -> PathBuf {
    match (benchmark.hub_id, benchmark.name) {
        ("super_glue", name) => shared.join("data/super_glue").join(name),
        (_, "scienceqa") => shared.join("data/science_qa"),
        (_, "openbookqa") => shared.join("data/openbookqa_main"),
        (_, "ai2_arc") => shared.join("data/ai2_arc/ARC-Challenge"),
        (_, name) => shared.join("data").join(name),
    }
}

#[test]
fn every_item_of_the_real_benchmarks_is_read_and_aligned() {
    let Some(shared) = shared() else { return };
    let tokenizer = Tokenizer::from_folder(&shared.join("tokenizers/llama2")).unwrap();
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let whole = EncodeOptions { max_tokens: usize::MAX, ..EncodeOptions::default() };
    let whole = Encoder::new(&tokenizer, &whole).unwrap();
    eprintln!("benchmark       split       items  unlabelled  tokens: mean  max  cut    padding  read/s  encoded/s");
    for benchmark in Benchmark::ALL {
        for &split in benchmark.splits {
            let mut start = Instant::now();
            let items: Vec<Item> = match SplitReader::open(benchmark, &folder(&shared, benchmark), split) {
                Err(DataError::MissingFile { .. }) => continue,
                reader => reader.unwrap().collect::<Result<_, _>>().unwrap(),
            };
            let reading = start.elapsed().as_secs_f64();
            start = Instant::now();
            let examples = encoder.encode(&items).unwrap();
            let encoding = start.elapsed().as_secs_f64();

            let uncut = whole.encode(&items).unwrap();
            assert_letters(&tokenizer, &items[..items.len().min(SAMPLE)], &uncut);
            let unlabelled = items.iter().filter(|item| item.answer.is_none()).count();
            let labelled = benchmark.labelled_splits.contains(&split);
            assert_eq!(unlabelled, if labelled { 0 } else { items.len() }, "{} {split}", benchmark.name);

            let rows = items.len() as f64;
            let lengths = uncut.iter().map(|example| example.ids.len());
            eprintln!(
                "{:15} {:10} {:6}  {unlabelled:10}          {:4.0} {:4} {:4.1}%   {:5.1}%  {:6.0}  {:6.0}",
                benchmark.name,
                split.as_str(),
                items.len(),
                lengths.clone().sum::<usize>() as f64 / rows,
                lengths.max().unwrap(),
                100.0 * examples.iter().filter(|example| example.truncated).count() as f64 / rows,
                100.0 * padding(&examples),
                rows / reading,
                rows / encoding,
            );
        }
    }
}

/// Every letter's whole text, tokenised on its own, is the prompt and the letter's token.
fn assert_letters(tokenizer: &Tokenizer, items: &[Item], examples: &[Example]) {
    for (item, example) in items.iter().zip(examples) {
        for (choice, &id) in item.choices.iter().zip(&example.choice_ids) {
            let text = tokenizer.encode_text(&format!("{} {}", item.prompt, choice.letter)).unwrap();
            assert_eq!(text, [&example.ids[..example.prompt_len], &[id]].concat(), "line {}", item.id);
        }
    }
}

/// Share of padding in the micro-batches of an epoch, batches of 16 in micro-batches of 4.
fn padding(examples: &[Example]) -> f64 {
    let lengths: Vec<usize> = examples.iter().map(|example| example.ids.len()).collect();
    let micro_batches = plan_epoch(&lengths, 16, 4, 0, 0).into_iter().flatten();
    let batches = micro_batches.map(|indices| Batch::collate(examples, &indices, 0, LabelScope::Answer));
    let padded: usize = batches.map(|batch| batch.ids.len()).sum();
    1.0 - lengths.iter().sum::<usize>() as f64 / padded as f64
}

#[test]
fn llama_2_has_the_letter_with_its_space_after_the_colon() {
    let Some(shared) = shared() else { return };
    let tokenizer = Tokenizer::from_folder(&shared.join("tokenizers/llama2")).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (Some(1), Some(2), 32000));
    let copa = Benchmark::by_name("copa").unwrap();
    let items = adamole_data::read_split(copa, &folder(&shared, copa), Split::Train, Some(1)).unwrap();
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let example = encoder.encode(&items).unwrap().remove(0);
    // ":" is 29901, "▁A" 319 and "▁B" 350 in Llama 2's vocabulary.
    assert_eq!(example.ids[example.prompt_len - 1], 29901);
    assert_eq!(example.choice_ids, [319, 350]);
}

#[test]
fn training_texts_have_the_published_token_ids() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("golden/tokenize");
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    let options = EncodeOptions { max_tokens: 256, append_eos: false };
    let encoder = Encoder::new(&tokenizer, &options).unwrap();
    let cases: Value = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    for case in cases["train"].as_array().unwrap().iter().filter(|case| case["max_length"] == 256) {
        for (text, ids) in case["texts"].as_array().unwrap().iter().zip(case["token_ids"].as_array().unwrap()) {
            let (prompt, answer) = text.as_str().unwrap().rsplit_once(' ').unwrap();
            let letters = ["A", "B", "C"];
            let item = Item {
                id: 1,
                prompt: prompt.into(),
                choices: letters.map(|letter| Choice { letter: letter.into(), text: String::new() }).into(),
                answer: letters.iter().position(|&letter| letter == answer),
            };
            let mut ours = encoder.encode(&[item]).unwrap().remove(0).ids;
            ours.push(2); // that tokenizer's end of sequence
            assert_eq!(Value::from(ours), *ids);
        }
    }
}
