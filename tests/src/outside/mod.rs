//! What reads bytes from outside, one function each: whatever the bytes are, it neither panics nor hangs, and takes no
//! more memory than a small multiple of them. Property tests and the fuzz targets in `fuzz` call the same functions.

mod data;
mod memory;
mod model;
mod run;
mod scratch;

pub use memory::Metered;

/// A reader of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Its name, which is also that of its fuzz target and of its seeds.
    pub name: &'static str,
    read: fn(&[u8]),
    /// Bytes of memory that it may take for each byte that it is given.
    per_byte: usize,
    /// And beside that, whatever it is given.
    fixed: usize,
}

const MIB: usize = 1 << 20;

/// Every one of them.
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
    /// The reader of this name.
    pub fn named(name: &str) -> Self {
        let found = READERS.into_iter().find(|reader| reader.name == name);
        found.unwrap_or_else(|| panic!("no reader is called {name}"))
    }

    /// Reads the bytes; panics where that takes too much memory, which is seen in programs whose allocator is
    /// [`Metered`].
    pub fn read(&self, bytes: &[u8]) {
        let peak = memory::peak_of(|| (self.read)(bytes));
        let allowed = self.fixed + self.per_byte * bytes.len();
        assert!(
            peak <= allowed,
            "{}: {} bytes take {peak} bytes of memory, allowed are {allowed}",
            self.name,
            bytes.len()
        );
    }
}

/// The seeds of a reader, which its fuzz target begins with: small files as they should be.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// The bytes before the first one that is no part of any text, and those after it: some readers take two files.
fn halves(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut halves = bytes.splitn(2, |byte| *byte == 0xff);
    (halves.next().unwrap_or_default(), halves.next())
}
