//! A running server with the shipped base and adapters of random values.

use super::client::{Answer, Open, open};
use adamole::{
    core::{AdaMole, AdapterConfig, Lora},
    llama::{AdapterLayout, CausalLm, Targets, load_base, save_adapter},
};
use adamole_tests::with_random_adapters;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};
use tempfile::TempDir;

/// The names of the models.
pub(crate) const MODELS: [&str; 3] = ["base", "mixture", "plain"];

/// The folder of the shipped base.
pub(crate) fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base")
}

/// The base with an adapter of random values.
pub(crate) fn adapted(config: AdapterConfig, seed: u64) -> CausalLm {
    let mut model = load_base(&base(), &adamole_tests::cpu()).unwrap();
    model.adapt(&AdapterLayout::uniform(config, &Targets::all(), model.config()).unwrap(), 0);
    with_random_adapters(model, seed, 0.1)
}

/// The models of a server: the base, a mixture and a plain LoRA.
pub(crate) fn models() -> [CausalLm; 3] {
    let adamole = AdaMole { num_experts: 4.try_into().unwrap(), tau_max: None };
    [
        load_base(&base(), &adamole_tests::cpu()).unwrap(),
        adapted(AdapterConfig::new(adamole, 2, 8.0, 0.0).unwrap(), 100),
        adapted(AdapterConfig::new(Lora, 4, 8.0, 0.0).unwrap(), 200),
    ]
}

/// A server that is stopped with the scene.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) stderr: BufReader<ChildStderr>,
    _adapters: TempDir,
}

impl Server {
    /// Starts a server with these flags beside those of its models.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
        program.args(["serve", "--port", "0", "--device", "cpu", "--name", "base", "--model"]).arg(base());
        for (name, model) in MODELS.iter().zip(models()).skip(1) {
            let place = folder.path().join(name);
            save_adapter(&model, None, &place).unwrap();
            program.args(["--adapter", &format!("{name}={}", place.display())]);
        }
        program.env_remove("ADAMOLE_API_KEY").env("HF_HUB_OFFLINE", "1").args(flags);
        let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, address: String::new(), stderr, _adapters: folder };
        let mut told = String::new();
        while server.address.is_empty() {
            let mut line = String::new();
            assert!(server.stderr.read_line(&mut line).unwrap() > 0, "the server did not start: {told}");
            if let Some(address) = line.trim().strip_prefix("listening at http://") {
                server.address = address.to_owned();
            }
            told += &line;
        }
        server
    }

    /// Sends JSON, and reads the head of the answer.
    pub(crate) fn open(&self, path: &str, body: &Value) -> Open {
        let headers = [("Content-Type", "application/json")];
        open(&self.address, "POST", path, &headers, body.to_string().as_bytes())
    }

    /// Sends JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.open(path, body).rest()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        open(&self.address, "GET", path, &[], b"").rest()
    }

    /// A number of the metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
