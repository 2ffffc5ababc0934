//! What is asked of the engine, and what comes back.

use adamole_generate::{GenerateError, Piece, StopStrings};
use adamole_llama::{Finish, ModelError, Sampling};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, mpsc::UnboundedSender};

/// A text to continue.
#[derive(Debug)]
pub(crate) struct Request {
    /// The index of its model.
    pub(crate) model: usize,
    /// At least one token.
    pub(crate) prompt: Vec<u32>,
    /// 0 if only the prompt is to be scored.
    pub(crate) max_new_tokens: usize,
    pub(crate) sampling: Sampling,
    /// The tokens that end the text.
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) stop: StopStrings,
    /// Whether the text goes on after the prompt; otherwise it stands for itself.
    pub(crate) continues: bool,
    /// How many of the most probable tokens come with each score; `None` if no scores are wanted.
    pub(crate) top_scores: Option<usize>,
    /// Whether the tokens of the prompt are scored too.
    pub(crate) score_prompt: bool,
    /// Whether tokens come with their routing.
    pub(crate) routing: bool,
    pub(crate) deadline: Instant,
    pub(crate) events: UnboundedSender<Event>,
    /// Its place among the requests that are taken on, until it ends.
    #[expect(dead_code, reason = "it is held, and given back when the request is dropped")]
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// What happens to a text.
#[derive(Debug)]
pub(crate) enum Event {
    /// The scores of the prompt's tokens from the second on.
    Prompt(Vec<TokenScore>),
    /// A new token.
    Token(Piece, Option<TokenScore>),
    /// The end. `cached` tokens of the prompt did not have to be read.
    End { finish: Finish, cached: usize },
    /// It cannot go on.
    Failed(TextError),
}

/// The score of a token, before temperature and whatever else changes the choice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TokenScore {
    /// Its log-probability.
    pub(crate) log_probability: f32,
    /// The most probable tokens with theirs, the most probable first.
    pub(crate) top: Vec<(u32, f32)>,
}

/// Why a text cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Generate(#[from] GenerateError),
    #[error("{0}")]
    Step(String),
    #[error("the request took longer than the server allows")]
    TimedOut,
    #[error("the server is shutting down")]
    ShuttingDown,
}
