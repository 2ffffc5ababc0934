//! Which texts take part in a step, and with how many tokens.

use super::{
    blocks::Blocks,
    kept::KeptTexts,
    request::{Event, Request, TextError},
    text::Text,
};
use crate::{Limits, Models, metrics::Metrics};
use adamole_llama::{BlockCache, ModelError, NextTokens, Step};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::VecDeque;

/// The most rows whose logits are held at once.
const ROWS: usize = 64;

/// The texts of the engine. Those that are active share steps; the others wait for a place and for blocks.
pub(super) struct Scheduler<'m> {
    models: &'m Models,
    limits: &'m Limits,
    metrics: &'m Metrics,
    device: Device,
    cache: BlockCache,
    blocks: Blocks,
    kept: KeptTexts,
    waiting: VecDeque<Text<'m>>,
    /// The earliest first.
    active: Vec<Text<'m>>,
}

impl<'m> Scheduler<'m> {
    pub(super) fn new(models: &'m Models, limits: &'m Limits, metrics: &'m Metrics) -> Self {
        let (config, device) = (models.base.config(), models.base.projection().device());
        Self {
            models,
            limits,
            metrics,
            cache: BlockCache::new(config, limits.blocks(), &device),
            device,
            blocks: Blocks::new(limits.blocks()),
            kept: KeptTexts::default(),
            waiting: VecDeque::new(),
            active: Vec::new(),
        }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.active.is_empty()
    }

    /// Takes a request on.
    pub(super) fn add(&mut self, request: Request) {
        self.waiting.extend(Text::new(request, &self.models.tokenizer));
    }

    /// Ends every text.
    pub(super) fn shut_down(&mut self) {
        let texts = self.waiting.drain(..).chain(self.active.drain(..));
        texts.for_each(|text| text.send(Event::Failed(TextError::ShuttingDown)));
    }

    /// One step of the texts that have their turn.
    pub(super) fn turn(&mut self) {
        self.drop_gone();
        self.admit();
        let plan = self.plan();
        self.metrics.set_load(self.active.len(), self.waiting.len(), self.blocks.total() - self.blocks.free());
        if !plan.is_empty() {
            self.step(&plan);
        }
        let kept = &mut self.kept;
        self.active.retain(|text| {
            if text.is_done() {
                kept.keep(text.request.model, &text.tokens[..text.read], &text.blocks);
                text.end();
            }
            !text.is_done()
        });
    }

    /// Drops the texts that nobody waits for, or that took too long.
    fn drop_gone(&mut self) {
        let stays = |text: &Text<'_>| {
            if text.is_abandoned() {
                self.metrics.abandoned.inc();
                return false;
            }
            let late = text.is_late();
            if late {
                text.send(Event::Failed(TextError::TimedOut));
            }
            !late
        };
        self.active.retain(stays);
        self.waiting.retain(stays);
    }

    /// Activates waiting texts, in order, while there are places and blocks for their prompts.
    fn admit(&mut self) {
        while self.active.len() < self.limits.active {
            let Some(mut text) = self.waiting.pop_front() else { break };
            // Each score of a prompt needs its own pass.
            if !text.request.score_prompt && text.blocks.is_empty() {
                text.blocks = self.kept.beginning(text.request.model, &text.tokens);
                text.read = text.blocks.len() * BlockCache::BLOCK;
            }
            let available = self.blocks.free() + self.kept.blocks();
            if !self.active.is_empty() && text.lacking_blocks(text.unread()) > available {
                text.forget();
                self.waiting.push_front(text);
                break;
            }
            if text.new_tokens() == 0 {
                text.cached = text.read;
                self.metrics.cached_tokens.inc_by(text.read as u64);
            }
            self.active.push(text);
        }
    }

    /// The texts of the next step by their index, with their numbers of tokens: those with one token to read first, then
    /// prompts in parts, as far as a step goes. Their blocks are there.
    fn plan(&mut self) -> Vec<(usize, usize)> {
        let mut left = self.limits.step_tokens;
        let (mut plan, mut index) = (Vec::new(), 0);
        let singles = self.active.iter().filter(|text| text.unread() == 1).count();
        left = left.saturating_sub(singles).max(1);
        while index < self.active.len() {
            let unread = self.active[index].unread();
            let count = if unread == 1 { 1 } else { unread.min(left) };
            if count == 0 {
                index += 1;
                continue;
            }
            if !self.provide(index, count) {
                // The text itself was the latest.
                break;
            }
            left -= if unread == 1 { 0 } else { count };
            plan.push((index, count));
            index += 1;
        }
        plan
    }

    /// Gives a text the blocks for its next tokens. Where there are none, texts that have ended give theirs up, then the active
    /// one that came last, to be read anew later. False if that is this one.
    fn provide(&mut self, index: usize, count: usize) -> bool {
        self.make_rotation_valid(index);
        while self.active[index].lacking_blocks(count) > 0 {
            if let Some(block) = self.blocks.take() {
                self.active[index].blocks.push(block);
            } else if !self.kept.give_up_oldest() {
                let Some(mut last) = self.active.pop() else { return false };
                self.metrics.preempted.inc();
                last.forget();
                self.waiting.push_front(last);
                if index == self.active.len() {
                    return false;
                }
            }
        }
        true
    }

    /// A text that grows out of the length for which it was rotated is read anew.
    fn make_rotation_valid(&mut self, index: usize) {
        let text = &mut self.active[index];
        if text.read > 0 && self.models.base.config().is_rotated_anew(text.read, text.tokens.len()) {
            text.forget();
        }
    }

    fn step(&mut self, plan: &[(usize, usize)]) {
        // Texts of the same model are adjacent, and of these the single tokens.
        let mut order: Vec<(usize, usize)> = plan.to_vec();
        order.sort_by_key(|&(index, count)| (self.active[index].request.model, count > 1, index));
        let next: Vec<NextTokens<'_>> =
            order.iter().map(|&(index, count)| next_tokens(self.models, &self.active[index], count)).collect();
        let result = self.models.base.step(&next, &mut self.cache);
        self.metrics.count_step(order.iter().map(|(_, count)| count).sum());
        match result {
            Ok(step) => self.take(&order, step),
            // Tokens were checked when the requests came.
            Err(error) => self.fail(&order, &error),
        }
    }

    /// Hands a step's result to its texts.
    fn take(&mut self, order: &[(usize, usize)], step: Step) {
        let mut row = 0;
        let mut wanted: Vec<(usize, usize, i32)> = Vec::new();
        for ((index, count), mut routing) in order.iter().zip(step.routing) {
            let text = &mut self.active[*index];
            let rows = text.wanted(*count).into_iter();
            wanted.extend(rows.map(|position| (*index, position, (row + position - text.read) as i32)));
            row += count;
            text.advance(*count, &mut routing);
        }
        let mut failed: Vec<(usize, TextError)> = Vec::new();
        for wanted in wanted.chunks(ROWS) {
            let rows: Vec<i32> = wanted.iter().map(|(_, _, row)| *row).collect();
            let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [wanted.len()]), &self.device);
            let logits = self.models.base.logits(step.hidden.clone().select(0, rows)).into_data();
            let logits: Vec<f32> = logits.try_into_vec().unwrap_or_default();
            let vocabulary = self.models.base.config().vocab_size;
            for ((index, position, _), logits) in wanted.iter().zip(logits.chunks(vocabulary)) {
                if let Err(error) = self.active[*index].take(*position, logits) {
                    failed.push((*index, error));
                }
            }
        }
        for (index, _) in order {
            self.active[*index].tell_prompt();
        }
        self.remove(failed);
    }

    fn fail(&mut self, order: &[(usize, usize)], error: &ModelError) {
        let message = |index: &usize| (*index, TextError::Step(error.to_string()));
        let failed = order.iter().map(|(index, _)| message(index)).collect();
        self.remove(failed);
    }

    /// Ends texts with an error.
    fn remove(&mut self, mut failed: Vec<(usize, TextError)>) {
        failed.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
        failed.dedup_by_key(|(index, _)| *index);
        for (index, error) in failed {
            self.active.remove(index).send(Event::Failed(error));
        }
    }
}

/// The next tokens of a text.
fn next_tokens<'a>(models: &'a Models, text: &'a Text<'_>, count: usize) -> NextTokens<'a> {
    NextTokens {
        tokens: &text.tokens[text.read..text.read + count],
        start: text.read,
        longest: text.tokens.len(),
        blocks: text.blocks.iter().map(|block| block.number()).collect::<Vec<u32>>().into(),
        adapters: models.served[text.request.model].adapters.as_ref(),
        routing: text.request.routing && text.read + count == text.tokens.len(),
    }
}
