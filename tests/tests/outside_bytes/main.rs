//! Readers of files from outside: for any bytes, they must not panic, and their memory is bounded by a small multiple of the
//! input. Here the seeds are changed a few hundred times; the fuzz targets in `fuzz` do the same with millions of inputs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod change;

use adamole_tests::outside::{Metered, READERS, Reader, seeds};
use change::change;
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, Strategy},
    test_runner::TestRunner,
};

use std::{fmt, sync::Once};

#[global_allocator]
static ALLOCATOR: Metered = Metered;

/// Reads the seeds, then changed seeds.
fn survives(name: &str) {
    // A backtrace would count as memory of the reader.
    static SILENCED: Once = Once::new();
    SILENCED.call_once(adamole::data::silence_caught_panics);
    let (reader, seeds) = (Reader::named(name), seeds(name));
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for seed in &seeds {
        // Allocates what is initialised once.
        drop(std::panic::catch_unwind(|| reader.read(seed)));
        reader.read(seed);
    }
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(512);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let bytes = (0..seeds.len(), vec(change(seeds.len()), 1..6)).prop_map(|(seed, changes)| {
        let mut bytes = seeds[seed].clone();
        changes.iter().for_each(|change| change.apply(&mut bytes, &seeds));
        Bytes(bytes)
    });
    let outcome = TestRunner::new(config).run(&bytes, |Bytes(bytes)| {
        reader.read(&bytes);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Bytes, shown with escapes.
struct Bytes(Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

macro_rules! readers {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                survives($name);
            }
        )*

        #[test]
        fn every_reader_is_tested() {
            assert_eq!(READERS.map(|reader| reader.name).to_vec(), [$($name),*]);
        }
    };
}

readers! {
    any_bytes_as_safetensors_files: "safetensors",
    any_bytes_as_indices_of_shards: "shard_index",
    any_bytes_as_configurations_of_models: "model_config",
    any_bytes_as_configurations_of_adapters: "adapter_config",
    any_bytes_as_pickled_adapters: "pickle",
    any_bytes_as_tokenizers: "tokenizer",
    any_bytes_as_rows_of_json: "json_lines",
    any_bytes_as_tables_of_texts: "separated",
    any_bytes_as_rows_of_parquet: "parquet",
    any_bytes_as_definitions_of_benchmarks: "benchmark",
    any_bytes_as_checkpoints: "checkpoint",
    any_bytes_as_settings_of_runs: "run_config",
    any_bytes_as_metrics_of_runs: "metrics",
}
