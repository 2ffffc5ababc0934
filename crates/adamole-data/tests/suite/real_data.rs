//! The published data sets with Llama 2's tokenizer, where they are at hand: `ADAMOLE_SHARED` names a folder with
//! `data/<benchmark>/<split>.jsonl`, `data/parquet/` and `tokenizers/llama2/`. They may not be shipped with the crate.

use std::path::{Path, PathBuf};
use std::time::Instant;

use adamole_data::{
    Batch, Benchmark, Buckets, Collation, DataError, EncodeOptions, Encoder, Example, LabelScope, Layout,
    MultipleChoice, OnBadRow, Order, Padding, Split, SplitReader, Tokenizer, Truncation, epoch_batches, read_split,
};

/// Items of each split whose letters are all tokenised in full.
const SAMPLE: usize = 500;

pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("ADAMOLE_SHARED").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: ADAMOLE_SHARED is not set");
    }
    folder
}

fn folder(shared: &Path, benchmark: &Benchmark) -> PathBuf {
    match (benchmark.hub().unwrap().id.as_str(), benchmark.name()) {
        ("super_glue", _) => shared.join("data/super_glue"),
        (_, "scienceqa") => shared.join("data/science_qa"),
        (_, "openbookqa") => shared.join("data/openbookqa_main"),
        (_, "ai2_arc") => shared.join("data/ai2_arc"),
        (_, name) => shared.join("data").join(name),
    }
}

fn read(benchmark: &Benchmark, folder: &Path, split: Split) -> Option<Vec<MultipleChoice>> {
    match SplitReader::open(benchmark, folder, split) {
        Err(DataError::MissingFile { .. }) => None,
        reader => Some(reader.unwrap().collect::<Result<_, _>>().unwrap()),
    }
}

/// Llama 2's tokenizer, and those of the models that `ADAMOLE_TOKENIZERS` lists.
fn tokenizers(shared: &Path) -> Vec<Tokenizer> {
    let more = std::env::var_os("ADAMOLE_TOKENIZERS").unwrap_or_default();
    let more = std::env::split_paths(&more).filter(|folder| !folder.as_os_str().is_empty());
    let folders = more.chain([shared.join("tokenizers/llama2")]);
    folders.map(|folder| Tokenizer::from_folder(&folder).unwrap()).collect()
}

#[test]
fn every_item_of_the_real_benchmarks_is_read_and_aligned() {
    let Some(shared) = shared() else { return };
    eprintln!("benchmark       split       items  unlabelled  tokens: mean   max  cut: passage  answer lost  padding");
    for tokenizer in tokenizers(&shared) {
        let encoder = |max_tokens, truncation| {
            let options = EncodeOptions { max_tokens, truncation, ..EncodeOptions::default() };
            Encoder::new(&tokenizer, &options).unwrap()
        };
        for benchmark in Benchmark::all().iter().filter(|benchmark| benchmark.hub().is_some()) {
            for &split in benchmark.splits() {
                let mut start = Instant::now();
                let Some(items) = read(benchmark, &folder(&shared, benchmark), split) else { continue };
                let reading = start.elapsed().as_secs_f64();
                start = Instant::now();
                let examples = encoder(256, Truncation::Passage).encode(&items).unwrap();
                let encoding = start.elapsed().as_secs_f64();
                let published = encoder(256, Truncation::Right).encode(&items).unwrap();

                let uncut = encoder(usize::MAX, Truncation::Passage).encode(&items).unwrap();
                assert_letters(&tokenizer, &items[..items.len().min(SAMPLE)], &uncut);
                assert_cut_passages(&tokenizer, &items, &examples);
                let unlabelled = items.iter().filter(|item| item.answer.is_none()).count();
                let labelled = benchmark.labelled_splits().contains(&split);
                assert_eq!(unlabelled, if labelled { 0 } else { items.len() }, "{} {split}", benchmark.name());
                let padding = padding(&examples);
                assert!(padding < 0.1, "{} {split}: {padding} is padding", benchmark.name());

                let rows = items.len() as f64;
                let share = |of: &[Example], which: fn(&&Example) -> bool| {
                    100.0 * of.iter().filter(which).count() as f64 / rows
                };
                let lengths = uncut.iter().map(|example| example.text.len());
                eprintln!(
                    "{:15} {:10} {:6}  {unlabelled:10}          {:4.0}  {:4}         {:4.1}%        {:4.1}%    {:4.1}%  {:6.0} rows/s read, {:6.0} encoded",
                    benchmark.name(),
                    split,
                    items.len(),
                    lengths.clone().sum::<usize>() as f64 / rows,
                    lengths.max().unwrap(),
                    share(&examples, |example| example.truncated),
                    share(&published, |example| example.truncated
                        && (example.answer.is_none() || example.answer_at.is_none())),
                    100.0 * padding,
                    rows / reading,
                    rows / encoding,
                );
            }
        }
    }
}

/// Every letter's whole text, tokenised on its own, is the prompt and the letter's token.
fn assert_letters(tokenizer: &Tokenizer, items: &[MultipleChoice], examples: &[Example]) {
    for (item, example) in items.iter().zip(examples) {
        for (choice, &id) in item.choices.iter().zip(&example.choice_ids) {
            let text = tokenizer.encode_text(&format!("{} {}", item.prompt, choice.letter)).unwrap();
            assert_eq!(text, [example.prompt.as_slice(), &[id]].concat(), "row {}", item.row);
        }
    }
}

/// What follows the passage is whole, unless it is too long by itself.
fn assert_cut_passages(tokenizer: &Tokenizer, items: &[MultipleChoice], examples: &[Example]) {
    for (item, example) in items.iter().zip(examples).filter(|(_, example)| example.truncated) {
        let Some(passage) = &item.passage else { continue };
        let prompt = tokenizer.decode(&example.prompt).unwrap();
        let after = &item.prompt[passage.end..];
        assert!(prompt.ends_with(after) || tokenizer.encode_text(after).unwrap().len() > 200, "row {}", item.row);
    }
}

/// Share of padding in the micro-batches of an epoch, batches of 16 in micro-batches of 4.
fn padding(examples: &[Example]) -> f64 {
    let lengths: Vec<usize> = examples.iter().map(|example| example.text.len()).collect();
    let buckets = Buckets::fitting(&lengths, Buckets::FEW);
    let micro_batches = epoch_batches(&lengths, 16, 4, Order::Bucketed, 0, 0).into_iter().flatten();
    let collation = Collation { pad_id: 0, labels: LabelScope::Answer, layout: Layout::Padded(Padding::Right) };
    let batches = micro_batches.map(|indices| Batch::of_texts(examples, &indices, collation, &buckets));
    let padded: usize = batches.map(|batch| batch.ids.len()).sum();
    1.0 - lengths.iter().sum::<usize>() as f64 / padded as f64
}

/// Parquet as the hub has it, with questions about images among others, against JSON Lines of the same rows.
#[test]
fn parquet_and_json_lines_of_one_data_set_are_the_same_items() {
    let Some(shared) = shared() else { return };
    for (name, parquet) in [
        ("commonsense_qa", "tau/commonsense_qa"),
        ("boolq", "super_glue"),
        ("cb", "super_glue"),
        ("copa", "super_glue"),
        ("rte", "super_glue"),
        ("wic", "super_glue"),
        ("scienceqa", "derek-thomas/ScienceQA"),
    ] {
        let benchmark = Benchmark::by_name(name).unwrap();
        for &split in benchmark.splits() {
            let Ok(reader) = SplitReader::open(benchmark, &shared.join("data/parquet").join(parquet), split) else {
                assert_eq!(name, "boolq");
                continue;
            };
            let mut reader = reader;
            let items: Vec<MultipleChoice> = reader.by_ref().collect::<Result<_, _>>().unwrap();
            let report = reader.report();
            eprintln!("{name} {split}: {} rows, {} left out, {} items", report.rows, report.left_out, report.items);
            if name == "scienceqa" {
                // Another selection of its rows.
                let with_image = if split == Split::Test { 18 } else { 0 };
                assert_eq!((report.left_out, report.rows), (with_image, with_image + items.len()));
                continue;
            }
            let lines = read(benchmark, &folder(&shared, benchmark), split).unwrap();
            assert_eq!(items, lines, "{name} {split}");
        }
    }
}

#[test]
fn llama_2_has_the_letter_with_its_space_after_the_colon() {
    let Some(shared) = shared() else { return };
    let tokenizer = Tokenizer::from_folder(&shared.join("tokenizers/llama2")).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (Some(1), Some(2), 32000));
    let copa = Benchmark::by_name("copa").unwrap();
    let items = read_split(copa, &folder(&shared, copa), Split::Train, Some(1), OnBadRow::Fail).unwrap().items;
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let example = encoder.encode(&items).unwrap().remove(0);
    // ":" is 29901, "▁A" 319 and "▁B" 350 in Llama 2's vocabulary.
    assert_eq!(example.prompt[example.prompt.len() - 1], 29901);
    assert_eq!(example.choice_ids, [319, 350]);
}
