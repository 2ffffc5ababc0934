//! A text that is being read and continued.

use super::{
    blocks::Block,
    request::{Event, Request, TextError, TokenScore},
    scores::score,
};
use adamole_data::Tokenizer;
use adamole_generate::{Piece, TextRow};
use adamole_llama::{BlockCache, Finish, ModelError, NewToken, TokenRouting};
use std::{sync::Arc, time::Instant};

/// A text of the engine: its request, and how far it is.
#[derive(Debug)]
pub(super) struct Text<'t> {
    pub(super) request: Request,
    /// The prompt and the new tokens.
    pub(super) tokens: Vec<u32>,
    /// How many of them are in the cache.
    pub(super) read: usize,
    /// The blocks that hold them.
    pub(super) blocks: Vec<Arc<Block>>,
    /// How many tokens of the prompt were in the cache when it began.
    pub(super) cached: usize,
    /// The text of its new tokens.
    row: TextRow<'t>,
    /// The scores of the prompt so far.
    prompt_scores: Vec<TokenScore>,
    /// A token whose routing is not known until it is read.
    unrouted: Option<(Piece, Option<TokenScore>)>,
    /// Why it ended; the client may still wait for the routing of its last token.
    ended: Option<Finish>,
}

impl<'t> Text<'t> {
    /// A text of which nothing is read; `None` if it cannot begin, which the client is told.
    pub(super) fn new(request: Request, tokenizer: &'t Tokenizer) -> Option<Self> {
        let stop = request.stop.clone();
        let row = match request.continues {
            true => match TextRow::continuing(tokenizer, &request.prompt, stop) {
                Ok(row) => row,
                Err(error) => {
                    // A client that has gone needs no answer.
                    let _ = request.events.send(Event::Failed(error.into()));
                    return None;
                }
            },
            false => TextRow::answering(tokenizer, stop),
        };
        Some(Self {
            tokens: request.prompt.clone(),
            read: 0,
            blocks: Vec::new(),
            cached: 0,
            row,
            prompt_scores: Vec::new(),
            unrouted: None,
            ended: None,
            request,
        })
    }

    /// The number of tokens that are not in the cache.
    pub(super) fn unread(&self) -> usize {
        self.tokens.len() - self.read
    }

    /// The number of new tokens.
    pub(super) fn new_tokens(&self) -> usize {
        self.tokens.len() - self.request.prompt.len()
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.ended.is_some() && self.unrouted.is_none()
    }

    /// Whether nobody waits for it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.request.events.is_closed()
    }

    /// Whether it took too long.
    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.request.deadline
    }

    /// The number of further blocks that its next `count` tokens need.
    pub(super) fn lacking_blocks(&self, count: usize) -> usize {
        (self.read + count).div_ceil(BlockCache::BLOCK) - self.blocks.len()
    }

    /// Gives up its blocks, to be read anew.
    pub(super) fn forget(&mut self) {
        self.read = 0;
        self.blocks.clear();
    }

    /// The positions among the next `count` whose scores of the following token are wanted.
    pub(super) fn wanted(&self, count: usize) -> Vec<usize> {
        let (prompt, end) = (self.request.prompt.len(), self.read + count);
        let scored = self.prompt_scores.len();
        let of_prompt = match self.request.score_prompt {
            true => self.read.max(scored)..end.min(prompt - 1),
            false => 0..0,
        };
        let chooses = end == self.tokens.len() && self.ended.is_none() && self.request.max_new_tokens > 0;
        of_prompt.chain(chooses.then(|| end - 1)).collect()
    }

    /// Takes the logits after a position.
    pub(super) fn take(&mut self, position: usize, logits: &[f32]) -> Result<(), TextError> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(ModelError::ScoresNotFinite { position: position + 1 }.into());
        }
        let top = self.request.top_scores;
        if position + 1 < self.request.prompt.len() {
            self.prompt_scores.push(score(logits, self.tokens[position + 1], top.unwrap_or(0)));
            return Ok(());
        }
        self.tell_prompt();
        let step = self.new_tokens();
        // One row a request: its draws depend on its seed alone.
        let id = self.request.sampling.next(logits, &self.tokens, 0, step);
        let score = top.map(|top| score(logits, id, top));
        self.tokens.push(id);
        let is_end = self.request.end_tokens.contains(&id);
        let is_last = step + 1 == self.request.max_new_tokens;
        let finish = if is_end { Some(Finish::Stop) } else { is_last.then_some(Finish::Length) };
        let piece = self.row.piece(NewToken { row: 0, id, is_end, finish, routing: None })?;
        self.ended = piece.finish;
        self.unrouted = Some((piece, score));
        if is_end || !self.request.routing {
            self.tell();
        }
        Ok(())
    }

    /// Marks `count` tokens as read, with their routing where it was asked for.
    pub(super) fn advance(&mut self, count: usize, routing: &mut Vec<TokenRouting>) {
        self.read += count;
        if self.unread() > 0 {
            return;
        }
        if let Some((piece, _)) = &mut self.unrouted {
            let empty = TokenRouting { token: piece.token.id, ..TokenRouting::default() };
            piece.token.routing = Some(routing.pop().unwrap_or(empty));
            self.tell();
        }
    }

    /// The prompt is scored as far as it was to be.
    pub(super) fn tell_prompt(&mut self) {
        let all = self.request.prompt.len() - 1;
        if self.request.score_prompt && self.prompt_scores.len() == all {
            self.request.score_prompt = false;
            self.send(Event::Prompt(self.prompt_scores.clone()));
        }
        if self.request.max_new_tokens == 0 && self.unread() == 0 {
            self.ended = Some(Finish::Length);
        }
    }

    fn tell(&mut self) {
        if let Some((piece, score)) = self.unrouted.take() {
            self.send(Event::Token(piece, score));
        }
    }

    /// Tells the client, if there is one.
    pub(super) fn send(&self, event: Event) {
        // A client that has gone is noticed before the next step.
        let _ = self.request.events.send(event);
    }

    /// The last that the client hears.
    pub(super) fn end(&self) {
        if let Some(finish) = self.ended {
            self.send(Event::End { finish, cached: self.cached });
        }
    }
}
