//! `/v1/chat/completions`.

use super::{
    answer::{Answer, Usage, finish_name, routing},
    app::{App, Wishes, now},
    error::ApiError,
    fields::Fields,
    stream::{Chunks, streamed},
    token_texts::token_text,
};
use crate::engine::{Event, TokenScore};
use adamole_data::Tokenizer;
use adamole_generate::Piece;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StreamOptions {
    pub(super) include_usage: bool,
    #[serde(rename = "include_obfuscation")]
    _obfuscation: bool,
}

/// What is the same for all parts of an answer.
struct Head {
    app: Arc<App>,
    id: String,
    created: u64,
    model: usize,
    prompt: usize,
}

impl Head {
    fn chunk(&self, object: &str, choices: Value) -> Value {
        let model = &self.app.served(self.model).name;
        json!({"id": self.id, "object": object, "created": self.created, "model": model, "choices": choices})
    }
}

pub(super) async fn answer(app: Arc<App>, body: &[u8]) -> Result<Response, ApiError> {
    let mut fields = Fields::parse(body)?;
    let model = app.model(&mut fields)?;
    let messages: Value = fields.need("messages", "a list of messages")?;
    // The newer name first.
    let newer = fields.count("max_completion_tokens")?;
    let max_new_tokens = fields.count("max_tokens")?;
    let streams = fields.switch("stream")?;
    let options: StreamOptions = fields.take("stream_options", "{\"include_usage\": true}")?.unwrap_or_default();
    let scores = fields.switch("logprobs")?;
    let top = fields.top_scores("top_logprobs")?;
    let wishes = Wishes {
        model,
        max_new_tokens: newer.or(max_new_tokens),
        sampling: fields.sampling()?,
        stop: fields.stop()?,
        end_tokens: fields.end_tokens(&app.served(model).answer_end_tokens)?,
        continues: false,
        top_scores: scores.then(|| top.unwrap_or(0)),
        score_prompt: false,
        routing: fields.switch("routing")?,
    };
    fields.finish()?;
    if wishes.max_new_tokens == Some(0) {
        return Err(ApiError::field("max_tokens", "max_tokens is 0, expected at least 1"));
    }
    if top.is_some() && !scores {
        return Err(ApiError::field("top_logprobs", "top_logprobs needs logprobs"));
    }
    let prompt = app.encode_messages(model, messages)?;
    let head = Head { id: app.id("chatcmpl"), created: now(), model, prompt: prompt.len(), app: app.clone() };
    let mut texts = app.ask("messages", vec![prompt], &wishes)?;
    if streams {
        let chunks = ChatChunks {
            head,
            wishes,
            usage: Usage::default(),
            new: 0,
            include_usage: options.include_usage,
            began: false,
        };
        return Ok(streamed(app, texts, chunks));
    }
    let answer = match texts.first_mut() {
        Some(text) => text.all(&app.metrics).await?,
        None => Answer::default(),
    };
    whole(&head, &wishes, &answer).map(IntoResponse::into_response)
}

fn whole(head: &Head, wishes: &Wishes, answer: &Answer) -> Result<Json<Value>, ApiError> {
    let app = &head.app;
    let usage = Usage::new(head.prompt, answer.tokens.len(), answer.cached);
    app.metrics.count_tokens(&app.served(head.model).name, head.prompt, usage.new_tokens());
    let scored = answer.tokens.iter().filter_map(|(piece, score)| Some((piece, score.as_ref()?)));
    let content = scored.map(|(piece, score)| log_probability(&app.models.tokenizer, piece, score));
    let content = content.collect::<Result<Vec<Value>, ApiError>>()?;
    let mut choice = json!({
        "index": 0,
        "message": {"role": "assistant", "content": answer.text(), "refusal": null},
        "logprobs": wishes.top_scores.map(|_| json!({"content": content, "refusal": null})),
        "finish_reason": answer.finish.map(finish_name),
    });
    if wishes.routing {
        choice["routing"] = answer.routing().into();
    }
    let mut body = head.chunk("chat.completion", json!([choice]));
    body["usage"] = json!(usage);
    Ok(Json(body))
}

/// The score of a token in OpenAI's form for conversations.
fn log_probability(tokenizer: &Tokenizer, piece: &Piece, score: &TokenScore) -> Result<Value, ApiError> {
    let entry = |id: u32, log_probability: f32| -> Result<Value, ApiError> {
        let own = id == piece.token.id && !piece.token_text.is_empty();
        let text = match own {
            true => piece.token_text.clone(),
            false => token_text(tokenizer, None, id)?,
        };
        let bytes = text.as_bytes();
        Ok(json!({"token": text, "logprob": log_probability, "bytes": bytes}))
    };
    let mut own = entry(piece.token.id, score.log_probability)?;
    let top = score.top.iter().map(|(id, log_probability)| entry(*id, *log_probability));
    own["top_logprobs"] = top.collect::<Result<Vec<Value>, ApiError>>()?.into();
    Ok(own)
}

/// An answer as it comes.
struct ChatChunks {
    head: Head,
    wishes: Wishes,
    usage: Usage,
    new: usize,
    include_usage: bool,
    began: bool,
}

impl ChatChunks {
    fn chunk(&self, delta: Value, more: impl FnOnce(&mut Value)) -> Value {
        let mut choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": null});
        more(&mut choice);
        self.head.chunk("chat.completion.chunk", json!([choice]))
    }
}

impl Chunks for ChatChunks {
    fn of(&mut self, _: usize, event: Event) -> Result<Vec<Value>, ApiError> {
        let mut chunks = Vec::new();
        if !self.began {
            self.began = true;
            chunks.push(self.chunk(json!({"role": "assistant", "content": ""}), |_| {}));
        }
        match event {
            Event::Token(piece, score) => {
                self.new += 1;
                let routing = routing(&piece);
                let score = match &score {
                    Some(score) => Some(log_probability(&self.head.app.models.tokenizer, &piece, score)?),
                    None => None,
                };
                if !piece.text.is_empty() || routing.is_some() || score.is_some() {
                    chunks.push(self.chunk(json!({"content": piece.text}), |choice| {
                        if let Some(score) = score {
                            choice["logprobs"] = json!({"content": [score], "refusal": null});
                        }
                        if self.wishes.routing {
                            choice["routing"] = routing.into_iter().collect();
                        }
                    }));
                }
            }
            Event::End { finish, cached } => {
                self.usage = Usage::new(self.head.prompt, self.new, cached);
                let Head { app, model, prompt, .. } = &self.head;
                app.metrics.count_tokens(&app.served(*model).name, *prompt, self.new);
                chunks.push(self.chunk(json!({}), |choice| choice["finish_reason"] = finish_name(finish).into()));
            }
            Event::Prompt(_) => {}
            Event::Failed(error) => return Err(error.into()),
        }
        Ok(chunks)
    }

    fn last(&mut self) -> Option<Value> {
        self.include_usage.then(|| {
            let mut chunk = self.head.chunk("chat.completion.chunk", json!([]));
            chunk["usage"] = json!(self.usage);
            chunk
        })
    }
}
