//! What is served: one base, and the adapters on it.

use adamole_chat::ChatTemplates;
use adamole_core::AdapterSet;
use adamole_data::Tokenizer;
use adamole_llama::CausalLm;
use std::sync::Arc;

/// One frozen base and what is served of it.
#[derive(Debug)]
pub struct Models {
    /// The base; adapters of its own have no part in what is served.
    pub base: CausalLm,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The base itself and its adapters, by different names. The first is the base.
    pub served: Vec<Served>,
}

/// The base, or an adapter on it, under a name.
#[derive(Debug)]
pub struct Served {
    /// The name that requests give.
    pub name: String,
    /// The adapters; `None` for the base alone.
    pub adapters: Option<Arc<AdapterSet>>,
    /// What is known of a routed adapter.
    pub routed: Option<RoutedAdapter>,
    /// The chat templates; `None` if conversations cannot be rendered.
    pub templates: Option<ChatTemplates>,
    /// The tokens that end a text.
    pub end_tokens: Vec<u32>,
    /// The tokens that end an answer in a conversation.
    pub answer_end_tokens: Vec<u32>,
}

/// A mixture of experts.
#[derive(Debug, Clone)]
pub struct RoutedAdapter {
    /// The name of its method.
    pub method: String,
    /// The largest number of experts of a linear.
    pub experts: usize,
    /// Whether it learns a threshold for each token.
    pub thresholds: bool,
    /// Its routed linears, in the order in which their numbers come.
    pub linears: Vec<String>,
}

impl Models {
    /// The index of a name.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        self.served.iter().position(|served| served.name == name)
    }
}
