//! What comes of a request's texts.

use super::error::ApiError;
use crate::{
    engine::{Event, TokenScore},
    metrics::Metrics,
};
use adamole_generate::Piece;
use adamole_llama::Finish;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Instant;
use tokio::sync::mpsc::UnboundedReceiver;

/// What happens to one text, for the answer.
#[derive(Debug)]
pub(super) struct Events {
    receiver: UnboundedReceiver<Event>,
    began: Instant,
    has_token: bool,
}

/// A whole text.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The scores of the prompt from its second token on, where they were asked for.
    pub(super) prompt: Option<Vec<TokenScore>>,
    /// Its new tokens.
    pub(super) tokens: Vec<(Piece, Option<TokenScore>)>,
    pub(super) finish: Option<Finish>,
    /// Tokens of the prompt that were in the cache.
    pub(super) cached: usize,
}

impl Events {
    pub(super) fn new(receiver: UnboundedReceiver<Event>) -> Self {
        Self { receiver, began: Instant::now(), has_token: false }
    }

    /// The next event; `None` after the end.
    ///
    /// # Errors
    /// The text cannot go on.
    pub(super) async fn next(&mut self, metrics: &Metrics) -> Result<Option<Event>, ApiError> {
        let event = self.receiver.recv().await;
        match event {
            Some(Event::Failed(error)) => return Err(error.into()),
            Some(Event::Token(..)) if !self.has_token => {
                self.has_token = true;
                metrics.first_token(self.began.elapsed());
            }
            Some(Event::End { .. }) => metrics.whole(self.began.elapsed()),
            None => return Err(ApiError::server("the engine has stopped")),
            _ => {}
        }
        Ok(event)
    }

    /// The whole text.
    ///
    /// # Errors
    /// The text cannot go on.
    pub(super) async fn all(&mut self, metrics: &Metrics) -> Result<Answer, ApiError> {
        let mut answer = Answer::default();
        while let Some(event) = self.next(metrics).await? {
            match event {
                Event::Prompt(scores) => answer.prompt = Some(scores),
                Event::Token(piece, score) => answer.tokens.push((piece, score)),
                Event::End { finish, cached } => {
                    (answer.finish, answer.cached) = (Some(finish), cached);
                    break;
                }
                Event::Failed(error) => return Err(error.into()),
            }
        }
        Ok(answer)
    }
}

impl Answer {
    /// The text.
    pub(super) fn text(&self) -> String {
        self.tokens.iter().map(|(piece, _)| piece.text.as_str()).collect()
    }

    /// The routing of its tokens.
    pub(super) fn routing(&self) -> Vec<Value> {
        self.tokens.iter().filter_map(|(piece, _)| routing(piece)).collect()
    }
}

/// The name of an end.
pub(super) fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

/// The routing of a token: none for an end token, or where it was not asked for.
pub(super) fn routing(piece: &Piece) -> Option<Value> {
    let routing = piece.token.routing.as_ref().filter(|_| !piece.token.is_end)?;
    let Piece { token, token_text, .. } = piece;
    Some(json!({
        "id": token.id, "text": token_text, "active": routing.active, "thresholds": routing.thresholds,
    }))
}

/// How many tokens a request took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptDetails,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct PromptDetails {
    cached_tokens: usize,
}

impl Usage {
    pub(super) fn new(prompt: usize, new: usize, cached: usize) -> Self {
        let prompt_tokens_details = PromptDetails { cached_tokens: cached };
        Self { prompt_tokens: prompt, completion_tokens: new, total_tokens: prompt + new, prompt_tokens_details }
    }

    /// New tokens.
    pub(super) fn new_tokens(&self) -> usize {
        self.completion_tokens
    }

    /// Adds those of another text.
    pub(super) fn add(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.total_tokens += other.total_tokens;
        self.prompt_tokens_details.cached_tokens += other.prompt_tokens_details.cached_tokens;
    }
}
