//! Readers of files from outside. For any bytes, a reader must not panic or hang, and its memory is bounded by a small
//! multiple of the input. Property tests and the fuzz targets in `fuzz` call the same functions.

mod data;
mod memory;
mod model;
mod run;
mod scratch;

pub use memory::Metered;

/// A reader of files.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Its name, also that of its fuzz target and its seeds.
    pub name: &'static str,
    read: fn(&[u8]),
    /// The memory limit per byte of input.
    per_byte: usize,
    /// The memory limit beside that, in bytes.
    fixed: usize,
}

const MIB: usize = 1 << 20;

/// All readers.
pub const READERS: [Reader; 13] = [
    Reader { name: "safetensors", read: model::safetensors, per_byte: 64, fixed: MIB },
    Reader { name: "shard_index", read: model::shard_index, per_byte: 64, fixed: MIB },
    Reader { name: "model_config", read: model::model_config, per_byte: 64, fixed: MIB },
    Reader { name: "adapter_config", read: model::adapter_config, per_byte: 256, fixed: 16 * MIB },
    Reader { name: "pickle", read: model::pickle, per_byte: 256, fixed: 2 * MIB },
    Reader { name: "tokenizer", read: data::tokenizer, per_byte: 1024, fixed: 16 * MIB },
    Reader { name: "json_lines", read: data::json_lines, per_byte: 64, fixed: MIB },
    Reader { name: "separated", read: data::separated, per_byte: 64, fixed: MIB },
    Reader { name: "parquet", read: data::parquet, per_byte: 256, fixed: 16 * MIB },
    Reader { name: "benchmark", read: data::benchmark, per_byte: 256, fixed: MIB },
    Reader { name: "checkpoint", read: run::checkpoint, per_byte: 64, fixed: MIB },
    Reader { name: "run_config", read: run::run_config, per_byte: 256, fixed: MIB },
    Reader { name: "metrics", read: run::metrics, per_byte: 64, fixed: MIB },
];

impl Reader {
    /// The reader of this name; panics if there is none.
    pub fn named(name: &str) -> Self {
        let found = READERS.into_iter().find(|reader| reader.name == name);
        found.unwrap_or_else(|| panic!("no reader {name}"))
    }

    /// Reads the bytes. Panics if that exceeds the memory limit, which needs [`Metered`] as the allocator.
    pub fn read(&self, bytes: &[u8]) {
        let peak = memory::peak_of(|| (self.read)(bytes));
        let allowed = self.fixed + self.per_byte * bytes.len();
        assert!(
            peak <= allowed,
            "{}: {} bytes of input take {peak} bytes of memory, at most {allowed} are allowed",
            self.name,
            bytes.len()
        );
    }
}

/// The seeds of a reader: small valid files, which fuzzing starts with.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// The bytes before and after the first byte FF, which does not occur in UTF-8: the input of readers of two files.
fn halves(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut halves = bytes.splitn(2, |byte| *byte == 0xff);
    (halves.next().unwrap_or_default(), halves.next())
}
