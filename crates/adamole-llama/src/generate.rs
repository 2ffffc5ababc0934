//! Text generation with a key-value cache, step by step.

use crate::{
    CachedText, CausalLm, KvCache, ModelError, Sampling, TokenBatch, TokenRouting, Visibility,
    token_routing::token_routing,
};
use adamole_core::{ForwardContext, RoutingDetail};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Options of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The largest number of new tokens.
    pub max_new_tokens: usize,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// End-of-text tokens. A sequence ends with the first of them, which is kept.
    pub eos: Vec<u32>,
    /// Whether keys and values are cached. Without the cache each step processes the whole text, with the same result.
    pub cached: bool,
    /// Whether new tokens come with their routing. That of a token is known once the model has read it, so that the last one
    /// costs a forward pass more.
    pub routing: bool,
}

impl Generation {
    /// The most probable tokens, with a cache and without routing.
    pub fn greedy(max_new_tokens: usize, eos: Vec<u32>) -> Self {
        Self { max_new_tokens, sampling: Sampling::greedy(), eos, cached: true, routing: false }
    }
}

/// The cause of the end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// An end-of-text token, or what the caller takes for an end.
    Stop,
    /// The largest number of new tokens.
    Length,
}

/// A new token of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct NewToken {
    /// The index of its prompt.
    pub row: usize,
    /// The token.
    pub id: u32,
    /// Whether it is an end-of-text token.
    pub is_end: bool,
    /// Why it is the last of its row; `None` if it is not.
    pub finish: Option<Finish>,
    /// Its routing, if [`Generation::routing`] asks for it.
    pub routing: Option<TokenRouting>,
}

/// The largest number of attention scores of a pass, over all heads. Longer prompts are processed in pieces, so that memory
/// grows with their length and not with its square.
const MOST_SCORES: usize = 1 << 26;

/// The continuations of some prompts: an iterator whose items are the new tokens of one step, one for each row that has not
/// ended. Prompts of different lengths are padded on the left.
#[derive(Debug)]
pub struct Generator<'m> {
    model: &'m CausalLm,
    device: Device,
    options: Generation,
    texts: Vec<Vec<u32>>,
    /// The number of padding tokens of each row.
    first_token: Vec<usize>,
    /// The number of each row in draws.
    numbers: Vec<u64>,
    /// The length of each row that has ended; padding follows.
    end: Vec<Option<usize>>,
    cache: KvCache,
    step: usize,
    /// The scores of the next step, where its pass was needed for the routing.
    ahead: Option<Vec<f32>>,
}

/// What a pass computes for the last position of each row.
struct Pass {
    /// `[rows, vocab]`, flattened.
    logits: Vec<f32>,
    /// The routing of its token, where it was recorded.
    routing: Vec<TokenRouting>,
}

impl<'m> Generator<'m> {
    /// Begins with these prompts.
    ///
    /// # Errors
    /// A token of a prompt is outside the vocabulary.
    pub fn new(
        model: &'m CausalLm,
        prompts: &[Vec<u32>],
        options: &Generation,
        device: &Device,
    ) -> Result<Self, ModelError> {
        model.check_tokens(prompts.iter().flatten())?;
        let width = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let padded = |prompt: &Vec<u32>| {
            std::iter::repeat_n(0, width - prompt.len()).chain(prompt.iter().copied()).collect::<Vec<u32>>()
        };
        Ok(Self {
            texts: prompts.iter().map(padded).collect(),
            first_token: prompts.iter().map(|prompt| width - prompt.len()).collect(),
            numbers: (0..prompts.len() as u64).collect(),
            end: vec![(width == 0).then_some(0); prompts.len()],
            cache: KvCache::new(model),
            step: 0,
            ahead: None,
            options: options.clone(),
            device: device.clone(),
            model,
        })
    }

    /// Begins with one prompt, and takes over the keys and values of the text that it has in common with `cached`, a text of
    /// the same model.
    ///
    /// # Errors
    /// A token of the prompt is outside the vocabulary.
    pub fn after(
        cached: CachedText,
        model: &'m CausalLm,
        prompt: &[u32],
        options: &Generation,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let cache = cached.beginning_of(prompt, model);
        Ok(Self { cache, ..Self::new(model, &[prompt.to_vec()], options, device)? })
    }

    /// Numbers the rows for draws, which are otherwise numbered from 0: a row that keeps its number keeps its text, whichever
    /// rows it is continued with.
    pub fn with_numbers(self, numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut numbers = numbers.into_iter();
        Self { numbers: self.numbers.iter().map(|own| numbers.next().unwrap_or(*own)).collect(), ..self }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.texts.len()
    }

    /// The prompt of a row with its new tokens.
    ///
    /// # Panics
    /// There is no such row.
    pub fn text(&self, row: usize) -> &[u32] {
        &self.texts[row][self.first_token[row]..self.end[row].unwrap_or(self.length())]
    }

    /// Ends a row.
    pub fn stop(&mut self, row: usize) {
        let length = self.length();
        if let Some(end) = self.end.get_mut(row) {
            end.get_or_insert(length);
        }
    }

    /// The text of a single prompt with its keys and values, to be continued in another way; `None` for several prompts.
    pub fn into_cached_text(self) -> Option<CachedText> {
        let [text] = <[Vec<u32>; 1]>::try_from(self.texts).ok()?;
        Some(CachedText::new(text, self.cache))
    }

    /// The number of positions, padding included.
    fn length(&self) -> usize {
        self.texts.first().map_or(0, Vec::len)
    }

    /// The next token of each row that has not ended.
    fn advance(&mut self) -> Result<Vec<NewToken>, ModelError> {
        let logits = match self.ahead.take() {
            Some(logits) => logits,
            None => self.pass(RoutingDetail::Off).logits,
        };
        let (length, step) = (self.length(), self.step);
        self.step += 1;
        let is_last = self.step == self.options.max_new_tokens;
        let mut new = Vec::with_capacity(self.texts.len());
        for (row, logits) in logits.chunks(self.model.config().vocab_size).enumerate() {
            let first = self.first_token[row];
            if self.end[row].is_some() {
                // Its place in the batch is kept by padding at its end, which no other row sees.
                self.texts[row].push(0);
                continue;
            }
            if !logits.iter().all(|logit| logit.is_finite()) {
                return Err(ModelError::ScoresNotFinite { position: length - first });
            }
            let id = self.options.sampling.next(logits, &self.texts[row][first..], self.numbers[row], step);
            self.texts[row].push(id);
            let is_end = self.options.eos.contains(&id);
            self.end[row] = is_end.then_some(length + 1);
            let finish = if is_end { Some(Finish::Stop) } else { is_last.then_some(Finish::Length) };
            new.push(NewToken { row, id, is_end, finish, routing: None });
        }
        if self.options.routing {
            let Pass { logits, routing } = self.pass(RoutingDetail::Distributions);
            for token in &mut new {
                let of_row = routing.get(token.row).cloned();
                token.routing = Some(of_row.unwrap_or(TokenRouting { token: token.id, ..TokenRouting::default() }));
            }
            self.ahead = Some(logits);
        }
        Ok(new)
    }

    /// Runs the positions that are not cached yet.
    fn pass(&mut self, detail: RoutingDetail) -> Pass {
        let (rows, length) = (self.texts.len(), self.length());
        if !self.options.cached {
            self.cache = KvCache::new(self.model);
        }
        let piece = (MOST_SCORES / (rows * self.model.config().num_attention_heads * length).max(1)).max(1);
        let mut at_last = None;
        self.cache.expect(length, self.model);
        while self.cache.length() < length {
            let start = self.cache.length();
            let end = length.min(start + piece);
            let ids = self.texts.iter().flat_map(|text| text[start..end].iter().map(|&id| id as i32)).collect();
            let ids = Tensor::<2, Int>::from_data(TensorData::new::<i32, _>(ids, [rows, end - start]), &self.device);
            let seen = |&first: &usize| (0..end).map(move |position| u8::from(position >= first));
            let tokens: Vec<u8> = self.first_token.iter().flat_map(seen).collect();
            let batch = TokenBatch::new(ids, Visibility::padded(&tokens, end, start));
            let mut context = ForwardContext::evaluation().recording(detail);
            let hidden = self.model.hidden_cached(&batch, &mut self.cache, &mut context);
            let last = (0..rows).map(|row| ((row + 1) * (end - start) - 1) as i32).collect();
            let last = Tensor::<1, Int>::from_data(TensorData::new::<i32, _>(last, [rows]), &self.device);
            let tokens: Vec<u32> = self.texts.iter().map(|text| text[end - 1]).collect();
            let routing = token_routing(context.into_layers(), &tokens, Some(&last));
            at_last = Some((hidden.select(0, last), routing));
        }
        let Some((hidden, routing)) = at_last else { return Pass { logits: Vec::new(), routing: Vec::new() } };
        Pass { logits: floats(self.model.logits(hidden).into_data()), routing }
    }
}

impl Iterator for Generator<'_> {
    type Item = Result<Vec<NewToken>, ModelError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.step == self.options.max_new_tokens || self.end.iter().all(Option::is_some) {
            return None;
        }
        let step = self.advance();
        if step.is_err() {
            (0..self.rows()).for_each(|row| self.stop(row));
        }
        Some(step)
    }
}

fn floats(data: TensorData) -> Vec<f32> {
    data.as_slice::<f32>().map(<[f32]>::to_vec).unwrap_or_default()
}

/// Continues each prompt and returns the new tokens. Prompts of different lengths are padded on the left.
///
/// # Errors
/// A token of a prompt is outside the vocabulary, or activations overflow.
pub fn generate(
    model: &CausalLm,
    prompts: &[Vec<u32>],
    options: &Generation,
    device: &Device,
) -> Result<Vec<Vec<u32>>, ModelError> {
    let mut texts = vec![Vec::new(); prompts.len()];
    for step in Generator::new(model, prompts, options, device)? {
        for token in step? {
            texts[token.row].push(token.id);
        }
    }
    Ok(texts)
}
