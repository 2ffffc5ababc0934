//! Counts and times, in the text format of Prometheus.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{fmt, time::Duration};

/// What was asked, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    path: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

/// The metrics of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    prompt_tokens: Family<ModelLabel, Counter>,
    new_tokens: Family<ModelLabel, Counter>,
    first_token: Histogram,
    whole: Histogram,
    steps: Counter,
    step_tokens: Counter,
    active: Gauge,
    waiting: Gauge,
    blocks: Gauge,
    /// Texts whose client has gone.
    pub(crate) abandoned: Counter,
    /// Texts that gave up their place in the cache to others.
    pub(crate) preempted: Counter,
    /// Tokens of prompts that did not have to be read.
    pub(crate) cached_tokens: Counter,
}

impl Metrics {
    /// Nothing counted.
    pub(crate) fn new() -> Self {
        // From 5 ms to some minutes.
        let times = || Histogram::new(exponential_buckets(0.005, 2.0, 16));
        let mut it = Self {
            registry: Registry::with_prefix("adamole"),
            requests: Family::default(),
            prompt_tokens: Family::default(),
            new_tokens: Family::default(),
            first_token: times(),
            whole: times(),
            steps: Counter::default(),
            step_tokens: Counter::default(),
            active: Gauge::default(),
            waiting: Gauge::default(),
            blocks: Gauge::default(),
            abandoned: Counter::default(),
            preempted: Counter::default(),
            cached_tokens: Counter::default(),
        };
        let all = &mut it.registry;
        all.register("requests", "Requests by path and HTTP status", it.requests.clone());
        all.register("prompt_tokens", "Tokens of prompts", it.prompt_tokens.clone());
        all.register("new_tokens", "Generated tokens", it.new_tokens.clone());
        all.register("cached_tokens", "Tokens of prompts that were in the cache", it.cached_tokens.clone());
        all.register("first_token_seconds", "Time to the first token", it.first_token.clone());
        all.register("request_seconds", "Time to the end of a request", it.whole.clone());
        all.register("steps", "Passes over the model", it.steps.clone());
        all.register("step_tokens", "Tokens read in passes", it.step_tokens.clone());
        all.register("abandoned", "Texts whose client had gone", it.abandoned.clone());
        all.register("preempted", "Texts that were read anew for want of memory", it.preempted.clone());
        all.register("active_texts", "Texts that share steps", it.active.clone());
        all.register("waiting_texts", "Texts that wait for a place", it.waiting.clone());
        all.register("used_blocks", "Blocks of the cache that are not free", it.blocks.clone());
        it
    }

    /// The state of the scheduler.
    pub(crate) fn set_load(&self, active: usize, waiting: usize, blocks: usize) {
        for (gauge, value) in [(&self.active, active), (&self.waiting, waiting), (&self.blocks, blocks)] {
            gauge.set(value as i64);
        }
    }

    /// A pass over so many tokens.
    pub(crate) fn count_step(&self, tokens: usize) {
        self.steps.inc();
        self.step_tokens.inc_by(tokens as u64);
    }

    /// A request that was answered.
    pub(crate) fn count_request(&self, path: &str, status: u16) {
        self.requests.get_or_create(&RequestLabels { path: path.to_owned(), status }).inc();
    }

    /// The tokens of a request.
    pub(crate) fn count_tokens(&self, model: &str, prompt: usize, new: usize) {
        let label = ModelLabel { model: model.to_owned() };
        self.prompt_tokens.get_or_create(&label).inc_by(prompt as u64);
        self.new_tokens.get_or_create(&label).inc_by(new as u64);
    }

    /// The time to the first token of a text.
    pub(crate) fn first_token(&self, time: Duration) {
        self.first_token.observe(time.as_secs_f64());
    }

    /// The time to the end of a text.
    pub(crate) fn whole(&self, time: Duration) {
        self.whole.observe(time.as_secs_f64());
    }

    /// All of them as text.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
