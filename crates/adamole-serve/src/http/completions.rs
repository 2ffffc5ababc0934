//! `/v1/completions`.

use super::{
    answer::{Answer, Usage, finish_name, routing},
    app::{App, Wishes, now},
    chat::StreamOptions,
    error::ApiError,
    fields::Fields,
    stream::{Chunks, streamed},
    token_texts::{token_text, token_texts},
};
use crate::engine::{Event, TokenScore};
use adamole_data::Tokenizer;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The new tokens where a request does not say how many, as at OpenAI.
const MAX_NEW_TOKENS: usize = 16;

/// One prompt or several, as texts or tokens.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    SeveralTokens(Vec<Vec<u32>>),
}

impl Prompt {
    fn encode(self, app: &App) -> Result<Vec<Vec<u32>>, ApiError> {
        match self {
            Self::Text(text) => Ok(vec![app.encode_text(&text)?]),
            Self::Texts(texts) => texts.iter().map(|text| app.encode_text(text)).collect(),
            Self::Tokens(tokens) => Ok(vec![tokens]),
            Self::SeveralTokens(prompts) => Ok(prompts),
        }
    }
}

/// What is the same for all parts of an answer.
struct Head {
    app: Arc<App>,
    id: String,
    created: u64,
    wishes: Wishes,
    prompts: Vec<Vec<u32>>,
    echo: bool,
}

impl Head {
    fn body(&self, choices: Value) -> Value {
        let model = &self.app.served(self.wishes.model).name;
        json!({"id": self.id, "object": "text_completion", "created": self.created, "model": model, "choices": choices})
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.app.models.tokenizer
    }

    /// The text of a prompt that is echoed, by its tokens.
    fn echoed(&self, prompt: usize) -> Result<Vec<String>, ApiError> {
        if !self.echo {
            return Ok(Vec::new());
        }
        Ok(token_texts(self.tokenizer(), &self.prompts[prompt])?)
    }

    fn usage(&self, prompt: usize, new: usize, cached: usize) -> Usage {
        let length = self.prompts[prompt].len();
        self.app.metrics.count_tokens(&self.app.served(self.wishes.model).name, length, new);
        Usage::new(length, new, cached)
    }
}

pub(super) async fn answer(app: Arc<App>, body: &[u8]) -> Result<Response, ApiError> {
    let mut fields = Fields::parse(body)?;
    let model = app.model(&mut fields)?;
    let prompt: Prompt = fields.need("prompt", "a string, token ids, or a list of these")?;
    let echo = fields.switch("echo")?;
    let streams = fields.switch("stream")?;
    let options: StreamOptions = fields.take("stream_options", "{\"include_usage\": true}")?.unwrap_or_default();
    let max_new_tokens = fields.count("max_tokens")?.unwrap_or(MAX_NEW_TOKENS);
    let top_scores = fields.top_scores("logprobs")?;
    let wishes = Wishes {
        model,
        max_new_tokens: Some(max_new_tokens),
        sampling: fields.sampling()?,
        stop: fields.stop()?,
        end_tokens: fields.end_tokens(&app.served(model).end_tokens)?,
        continues: true,
        top_scores,
        score_prompt: echo && top_scores.is_some(),
        routing: fields.switch("routing")?,
    };
    fields.finish()?;
    if max_new_tokens == 0 && !echo {
        return Err(ApiError::field("max_tokens", "max_tokens is 0, expected at least 1, or echo"));
    }
    let prompts = prompt.encode(&app)?;
    let mut texts = app.ask("prompt", prompts.clone(), &wishes)?;
    let head = Head { id: app.id("cmpl"), created: now(), wishes, prompts, echo, app: app.clone() };
    if streams {
        let states = head.prompts.iter().map(|_| TextState::default()).collect();
        let chunks = CompletionChunks { head, states, usage: Usage::default(), include_usage: options.include_usage };
        return Ok(streamed(app, texts, chunks));
    }
    let answers = try_join_all(texts.iter_mut().map(|text| text.all(&app.metrics))).await?;
    let mut usage = Usage::default();
    let choices = answers.iter().enumerate().map(|(index, answer)| {
        usage.add(head.usage(index, answer.tokens.len(), answer.cached));
        choice(&head, index, answer)
    });
    let choices = choices.collect::<Result<Vec<Value>, ApiError>>()?;
    let mut body = head.body(choices.into());
    body["usage"] = json!(usage);
    Ok(Json(body).into_response())
}

fn choice(head: &Head, index: usize, answer: &Answer) -> Result<Value, ApiError> {
    let echoed = head.echoed(index)?;
    let text = echoed.concat() + &answer.text();
    let mut scores = Scores::default();
    if head.wishes.top_scores.is_some() {
        let prompt = &head.prompts[index];
        let mut of_prompt = answer.prompt.iter().flatten();
        for (place, (id, text)) in prompt.iter().zip(&echoed).enumerate() {
            // Nothing comes before the first token.
            let score = if place == 0 { None } else { of_prompt.next() };
            let before = place.checked_sub(1).map(|before| prompt[before]);
            scores.add(head.tokenizer(), before, (*id, text), score)?;
        }
        let mut before = prompt.last().copied();
        for (piece, score) in &answer.tokens {
            scores.add(head.tokenizer(), before, (piece.token.id, &piece.token_text), score.as_ref())?;
            before = Some(piece.token.id);
        }
    }
    let mut choice = json!({
        "index": index, "text": text, "logprobs": head.wishes.top_scores.map(|_| scores.json()),
        "finish_reason": answer.finish.map(finish_name),
    });
    if head.wishes.routing {
        choice["routing"] = answer.routing().into();
    }
    Ok(choice)
}

/// Scores in OpenAI's form for completions.
#[derive(Debug, Default)]
struct Scores {
    tokens: Vec<Value>,
    log_probabilities: Vec<Value>,
    top: Vec<Value>,
    offsets: Vec<Value>,
    /// Characters so far.
    offset: usize,
}

impl Scores {
    fn add(
        &mut self,
        tokenizer: &Tokenizer,
        before: Option<u32>,
        (id, text): (u32, &str),
        score: Option<&TokenScore>,
    ) -> Result<(), ApiError> {
        let of_token = |id| token_text(tokenizer, before, id);
        let name = if text.is_empty() { of_token(id)? } else { text.to_owned() };
        self.offsets.push(self.offset.into());
        self.offset += text.chars().count();
        self.log_probabilities.push(score.map(|score| score.log_probability).into());
        let mut top = Value::Null;
        if let Some(score) = score {
            let mut entries = Map::new();
            for (other, log_probability) in &score.top {
                let text = if *other == id { name.clone() } else { of_token(*other)? };
                // Of several tokens with one text, the most probable.
                entries.entry(text).or_insert_with(|| json!(log_probability));
            }
            // The token itself is always there.
            entries.entry(name.clone()).or_insert_with(|| json!(score.log_probability));
            top = entries.into();
        }
        self.top.push(top);
        self.tokens.push(name.into());
        Ok(())
    }

    fn json(self) -> Value {
        json!({
            "tokens": self.tokens, "token_logprobs": self.log_probabilities, "top_logprobs": self.top,
            "text_offset": self.offsets,
        })
    }
}

/// How far a text has been sent.
#[derive(Debug, Default)]
struct TextState {
    began: bool,
    new: usize,
    offset: usize,
    before: Option<u32>,
    /// The prompt's scores have come.
    prompt: Option<Vec<TokenScore>>,
}

/// Answers as they come.
struct CompletionChunks {
    head: Head,
    states: Vec<TextState>,
    usage: Usage,
    include_usage: bool,
}

impl CompletionChunks {
    fn chunk(&self, index: usize, text: &str, logprobs: Value, routing: Option<Value>, finish: Value) -> Value {
        let mut choice = json!({"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish});
        if self.head.wishes.routing {
            choice["routing"] = routing.into_iter().collect();
        }
        self.head.body(json!([choice]))
    }

    /// The prompt that is echoed, before the first token.
    fn echo(&mut self, index: usize) -> Result<Option<Value>, ApiError> {
        let state = &mut self.states[index];
        if std::mem::replace(&mut state.began, true) || !self.head.echo {
            return Ok(None);
        }
        let answer = Answer { prompt: state.prompt.take(), ..Answer::default() };
        state.before = self.head.prompts[index].last().copied();
        let mut choice = choice(&self.head, index, &answer)?;
        state.offset = choice["text"].as_str().map_or(0, |text| text.chars().count());
        choice["finish_reason"] = Value::Null;
        Ok(Some(self.head.body(json!([choice]))))
    }
}

impl Chunks for CompletionChunks {
    fn of(&mut self, index: usize, event: Event) -> Result<Vec<Value>, ApiError> {
        let mut chunks = Vec::new();
        match event {
            Event::Prompt(scores) => self.states[index].prompt = Some(scores),
            Event::Token(piece, score) => {
                chunks.extend(self.echo(index)?);
                let state = &mut self.states[index];
                state.new += 1;
                let mut logprobs = Value::Null;
                if let Some(score) = &score {
                    let mut scores = Scores { offset: state.offset, ..Scores::default() };
                    let token = (piece.token.id, piece.token_text.as_str());
                    scores.add(&self.head.app.models.tokenizer, state.before, token, Some(score))?;
                    state.offset = scores.offset;
                    logprobs = scores.json();
                }
                state.before = Some(piece.token.id);
                let routing = routing(&piece);
                if !piece.text.is_empty() || score.is_some() || routing.is_some() {
                    chunks.push(self.chunk(index, &piece.text, logprobs, routing, Value::Null));
                }
            }
            Event::End { finish, cached } => {
                chunks.extend(self.echo(index)?);
                let usage = self.head.usage(index, self.states[index].new, cached);
                self.usage.add(usage);
                chunks.push(self.chunk(index, "", Value::Null, None, finish_name(finish).into()));
            }
            Event::Failed(error) => return Err(error.into()),
        }
        Ok(chunks)
    }

    fn last(&mut self) -> Option<Value> {
        self.include_usage.then(|| {
            let mut body = self.head.body(json!([]));
            body["usage"] = json!(self.usage);
            body
        })
    }
}
