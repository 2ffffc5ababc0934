//! Shared parts of the tests: golden files, comparisons with tolerances, and test material outside the repository.

pub mod documents;
pub mod gguf_file;
pub mod outside;
pub mod shipped;

use adamole::{
    core::{CounterRng, ParameterSpec},
    llama::{CausalLm, ParameterKind, ParameterMapper, TensorFile},
    train::{CollatedBatch, Workers},
};
use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// The example of the README at the root compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The name of the test device: `ADAMOLE_TEST_DEVICE`, or `cpu`.
pub fn device_name() -> String {
    std::env::var("ADAMOLE_TEST_DEVICE").unwrap_or_else(|_| "cpu".into())
}

/// The test device. Where tensor cores would round float32 it does without them.
pub fn device() -> Device {
    if device_name().starts_with("cuda") {
        adamole::llama::AdapterProducts::Float32.choose();
    }
    adamole::device::open(&device_name()).unwrap_or_else(|error| panic!("{error}"))
}

/// The CPU, the reference for other devices.
pub fn cpu() -> Device {
    adamole::device::open("cpu").unwrap_or_else(|error| panic!("{error}"))
}

/// Whether runs go ahead of their device: both on the CPU, and on others what programs do there.
pub fn paces() -> &'static [bool] {
    if adamole::device::is_cpu(&device()) { &[true, false] } else { &[true] }
}

/// Two workers on the CPU, one on other devices, which parallelise within an operation.
pub fn workers() -> Workers {
    Workers::new(if adamole::device::is_cpu(&device()) { 2 } else { 1 })
}

/// A folder of golden numbers, recorded from the reference implementation.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// A folder of large test material outside the repository: in `ADAMOLE_SHARED`, or in `shared` beside the checkout. If it
/// does not exist, prints a message; tests then pass without it.
pub fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ADAMOLE_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let folder = root.join(name);
    let found = folder.exists();
    if !found {
        eprintln!("skipped: {} does not exist", folder.display());
    }
    found.then_some(folder)
}

/// A memory size of this process in bytes, from `/proc/self/status` (`VmRSS`, `VmHWM`) of Linux.
pub fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_else(|e| panic!("{e}"));
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    let kibibytes: u64 = found.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {line}"));
    kibibytes * 1024
}

/// The model with normal values in its adapters in place of those of fresh ones, whose B is 0.
pub fn with_random_adapters(model: CausalLm, seed: u64, deviation: f32) -> CausalLm {
    struct Random(u64, f32);
    impl ParameterMapper for Random {
        fn map<const D: usize>(&mut self, _: String, kind: ParameterKind, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if kind == ParameterKind::Base {
                return param;
            }
            self.0 += 1;
            let (seed, deviation) = (self.0, self.1);
            param.map(|old| {
                let values = CounterRng::new(&[seed]).normal(old.shape().num_elements(), deviation);
                Tensor::from_data(TensorData::new(values, old.shape()), &old.device())
            })
        }
    }
    model.map_parameters(&mut Random(seed, deviation))
}

/// A golden case: its tensors and its `case.json`.
pub struct Case {
    /// Its folder.
    pub folder: PathBuf,
    /// `tensors.safetensors`.
    pub tensors: TensorFile,
    /// `case.json`.
    pub json: serde_json::Value,
}

impl Case {
    /// Opens the case of this name.
    pub fn open(name: &str) -> Self {
        Self::at(golden(name))
    }

    /// Opens the case in this folder.
    pub fn at(folder: PathBuf) -> Self {
        let fail = |error: &dyn fmt::Display| -> ! { panic!("{}: {error}", folder.display()) };
        let text = std::fs::read_to_string(folder.join("case.json")).unwrap_or_else(|error| fail(&error));
        Self {
            tensors: TensorFile::open(&folder.join("tensors.safetensors")).unwrap_or_else(|error| fail(&error)),
            json: serde_json::from_str(&text).unwrap_or_else(|error| fail(&error)),
            folder,
        }
    }

    /// The batch of a recorded pass, whose padding counts.
    pub fn batch(&self) -> CollatedBatch {
        CollatedBatch {
            ids: self.integers("input_ids"),
            attention_mask: self.integers("attention_mask"),
            labels: Some(self.integers("labels")),
            rows: self.tensors.shape("input_ids").map_or(0, |shape| shape[0]),
            padding_counts: true,
        }
    }

    /// A number of `case.json`, by its JSON pointer.
    pub fn number(&self, pointer: &str) -> f64 {
        self.json.pointer(pointer).and_then(|v| v.as_f64()).unwrap_or_else(|| panic!("{pointer} is no number"))
    }

    /// A float tensor, flattened.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        floats(&self.tensors, name)
    }

    /// A float tensor on a device.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.tensors.floats(name).unwrap_or_else(|e| panic!("{e}")), device)
    }

    /// The values of an adapter's parameter, whose parts lie under these names: one by expert where it is of the experts.
    pub fn parameter(&self, spec: &ParameterSpec, names: &[String], device: &Device) -> TensorData {
        match (spec.experts, spec.shape.len()) {
            (Some((_, dim)), _) => {
                Tensor::cat(names.iter().map(|name| self.tensor::<2>(name, device)).collect(), dim).into_data()
            }
            (None, 1) => self.tensor::<1>(&names[0], device).into_data(),
            (None, _) => self.tensor::<2>(&names[0], device).into_data(),
        }
    }

    /// An integer tensor, flattened.
    pub fn integers(&self, name: &str) -> Vec<i64> {
        self.tensors.integers(name).unwrap_or_else(|e| panic!("{e}")).0
    }
}

/// A float tensor of a file, flattened.
pub fn floats(file: &TensorFile, name: &str) -> Vec<f32> {
    values(file.floats(name).unwrap_or_else(|e| panic!("{e}")))
}

/// Float data, flattened.
pub fn values(data: TensorData) -> Vec<f32> {
    data.as_slice::<f32>().unwrap_or_else(|e| panic!("{e:?}")).to_vec()
}

/// All gradients, concatenated in the order of the model's parameters.
pub fn flat_gradients(model: &CausalLm, gradients: &GradientsParams) -> Vec<f32> {
    struct Flat<'a>(&'a GradientsParams, Vec<f32>);
    impl ModuleVisitor for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.extend(self.0.get::<D>(param.id).map(|g| values(g.into_data())).unwrap_or_default());
        }
    }
    let mut flat = Flat(gradients, Vec::new());
    model.visit(&mut flat);
    flat.1
}

/// The largest `|actual - expected|`, or NaN. Panics if the lengths differ.
pub fn max_difference(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let differences = actual.iter().zip(expected).map(|(a, e)| (a - e).abs());
    differences.fold(0.0, |max, d| if d.is_nan() { f32::NAN } else { d.max(max) })
}

/// Asserts `|actual - expected| <= absolute + relative |expected|` for every element.
#[track_caller]
pub fn assert_close(what: &str, actual: &[f32], expected: &[f32], absolute: f32, relative: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}: lengths");
    if let Some(i) = first_apart(actual, expected, absolute, relative) {
        let allowed = absolute + relative * expected[i].abs();
        panic!("{what}[{i}]: {}, expected {} within {allowed:e}", actual[i], expected[i]);
    }
}

/// The first element outside its tolerance.
fn first_apart(actual: &[f32], expected: &[f32], absolute: f32, relative: f32) -> Option<usize> {
    let is_close = |(a, e): (&f32, &f32)| (a - e).abs() <= absolute + relative * e.abs();
    actual.iter().zip(expected).position(|pair| !is_close(pair))
}

/// Applies `test` to every case, also after one has failed, and fails with the names of those that did.
#[track_caller]
pub fn for_every_case(cases: &[&str], test: impl Fn(&str)) {
    let fails = |case: &&&str| catch_unwind(AssertUnwindSafe(|| test(case))).is_err();
    let failed: Vec<_> = cases.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), cases.len());
}

/// The largest differences of a case by kind, and the elements that differ by more than their tolerance.
#[derive(Debug, Default)]
pub struct Differences {
    largest: BTreeMap<&'static str, f32>,
    failures: Vec<String>,
}

/// The kinds, in the order of the columns.
const KINDS: [&str; 10] = [
    "logits",
    "task loss",
    "balance loss",
    "total loss",
    "routing",
    "gradients",
    "gradient norm",
    "loss of steps",
    "parameters",
    "logits after",
];

impl Differences {
    /// The columns of a printed line.
    pub const HEADER: &'static str = "logits | task loss | balance loss | total loss | routing | gradients | \
        gradient norm | loss of steps | parameters | logits after";

    /// Compares as [`assert_close`] does, and records the largest difference of `kind` and a failure, so that every kind of a
    /// case is seen before [`Differences::assert_close`] fails.
    pub fn check(
        &mut self,
        kind: &'static str,
        what: &str,
        actual: &[f32],
        expected: &[f32],
        absolute: f32,
        relative: f32,
    ) {
        assert!(KINDS.contains(&kind), "{kind}");
        let difference = max_difference(actual, expected);
        let largest = self.largest.entry(kind).or_insert(0.0);
        *largest = if difference.is_nan() { f32::NAN } else { largest.max(difference) };
        self.failures.extend(first_apart(actual, expected, absolute, relative).map(|i| {
            let allowed = absolute + relative * expected[i].abs();
            format!("{what} {kind}[{i}]: {}, expected {} within {allowed:e}", actual[i], expected[i])
        }));
    }

    /// Records a failure of another kind.
    pub fn fail(&mut self, message: String) {
        self.failures.push(message);
    }

    /// Asserts that nothing failed.
    #[track_caller]
    pub fn assert_close(&self) {
        assert!(self.failures.is_empty(), "{} differences:\n{}", self.failures.len(), self.failures.join("\n"));
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = |kind: &&str| self.largest.get(kind).map_or("-".to_owned(), |largest| format!("{largest:.0e}"));
        f.write_str(&KINDS.iter().map(column).collect::<Vec<_>>().join(" | "))
    }
}
