//! What all requests share.

use super::{answer::Events, error::ApiError, fields::Fields};
use crate::{
    Limits, Models, Served,
    engine::{Engine, Request},
    metrics::Metrics,
};
use adamole_generate::StopStrings;
use adamole_llama::Sampling;
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc;

/// The state of a server.
#[derive(Debug)]
pub(crate) struct App {
    pub(super) models: Arc<Models>,
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<Metrics>,
    /// Seconds since 1970 at which the server started.
    pub(super) created: u64,
    requests: AtomicU64,
}

/// What is asked for each prompt of a request.
#[derive(Debug, Clone)]
pub(super) struct Wishes {
    /// The index of the model.
    pub(super) model: usize,
    pub(super) max_new_tokens: Option<usize>,
    pub(super) sampling: Sampling,
    pub(super) stop: StopStrings,
    pub(super) end_tokens: Vec<u32>,
    pub(super) continues: bool,
    pub(super) top_scores: Option<usize>,
    pub(super) score_prompt: bool,
    pub(super) routing: bool,
}

impl App {
    pub(super) fn new(models: Arc<Models>, engine: Engine, limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self { models, engine, limits, metrics, created: now(), requests: AtomicU64::new(0) }
    }

    /// A name for a request.
    pub(super) fn id(&self, prefix: &str) -> String {
        format!("{prefix}-{:x}-{:x}", self.created, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// The model that a request names.
    pub(super) fn model(&self, fields: &mut Fields) -> Result<usize, ApiError> {
        self.named(&fields.need::<String>("model", "the name of a model")?)
    }

    /// The index of the model with this name.
    pub(super) fn named(&self, name: &str) -> Result<usize, ApiError> {
        let known = || self.models.served.iter().map(|served| served.name.as_str()).collect::<Vec<_>>();
        self.models.named(name).ok_or_else(|| ApiError::no_model(name, &known()))
    }

    pub(super) fn served(&self, model: usize) -> &Served {
        &self.models.served[model]
    }

    /// Hands prompts to the engine.
    pub(super) fn ask(&self, field: &str, prompts: Vec<Vec<u32>>, wishes: &Wishes) -> Result<Vec<Events>, ApiError> {
        let deadline = Instant::now() + self.limits.time;
        let places = self.limits.active + self.limits.waiting;
        if prompts.is_empty() || prompts.len() > places {
            let message = format!("{field} has {} prompts, expected 1 to {places}", prompts.len());
            return Err(ApiError::field(field, message));
        }
        let mut events = Vec::with_capacity(prompts.len());
        let request = |prompt: Vec<u32>| {
            let max_new_tokens = self.new_tokens(field, &prompt, wishes)?;
            self.models.base.check_tokens(&prompt).map_err(|error| ApiError::field(field, error.to_string()))?;
            let (sender, receiver) = mpsc::unbounded_channel();
            events.push(Events::new(receiver));
            Ok(Request {
                model: wishes.model,
                prompt,
                max_new_tokens,
                sampling: wishes.sampling,
                end_tokens: wishes.end_tokens.clone(),
                stop: wishes.stop.clone(),
                continues: wishes.continues,
                top_scores: wishes.top_scores,
                score_prompt: wishes.score_prompt,
                routing: wishes.routing,
                deadline,
                events: sender,
                place: None,
            })
        };
        let requests = prompts.into_iter().map(request).collect::<Result<Vec<Request>, ApiError>>()?;
        self.engine.take(requests)?;
        Ok(events)
    }

    /// How many tokens a text may get: as many as are wanted, else as many as there is room for.
    fn new_tokens(&self, field: &str, prompt: &[u32], wishes: &Wishes) -> Result<usize, ApiError> {
        let (length, longest) = (prompt.len(), self.limits.longest());
        if length == 0 {
            return Err(ApiError::field(field, format!("{field} has no token")));
        }
        let room = longest.saturating_sub(length);
        match wishes.max_new_tokens {
            Some(wanted) if wanted <= room => Ok(wanted),
            None if room > 0 => Ok(room),
            wanted => Err(ApiError::too_long(
                field,
                format!(
                    "{field} has {length} tokens, with {} new ones; the server allows {longest} together",
                    wanted.unwrap_or(1)
                ),
            )),
        }
    }

    /// The token ids of a conversation, up to its next answer, for the template of a model.
    pub(super) fn encode_messages(&self, model: usize, messages: Value) -> Result<Vec<u32>, ApiError> {
        let Served { name, templates, .. } = self.served(model);
        let templates = templates.as_ref().ok_or_else(|| {
            ApiError::field("model", format!("{name:?} has no chat template; /v1/completions continues texts"))
        })?;
        let conversation = super::messages::conversation(messages)?;
        let options = adamole_chat::RenderOptions { add_generation_prompt: true, ..Default::default() };
        let rendered = templates
            .for_conversation(&conversation)
            .and_then(|template| template.render(&conversation, &options))
            .map_err(|error| ApiError::field("messages", error.to_string()))?;
        Ok(self.models.tokenizer.encode_rendered(&rendered.text)?)
    }

    /// The token ids of a text.
    pub(super) fn encode_text(&self, text: &str) -> Result<Vec<u32>, ApiError> {
        Ok(self.models.tokenizer.encode_text(text)?)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
