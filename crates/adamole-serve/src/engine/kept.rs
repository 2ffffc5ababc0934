//! Texts that have ended, whose keys and values serve texts with the same beginning, such as the next turn of a conversation.

use super::blocks::Block;
use adamole_llama::BlockCache;
use std::{collections::VecDeque, sync::Arc};

/// The most texts that are kept.
const MOST: usize = 128;

/// The full blocks of texts that have ended, the latest first. They are given up where blocks are wanted.
#[derive(Debug, Default)]
pub(super) struct KeptTexts(VecDeque<KeptText>);

#[derive(Debug)]
struct KeptText {
    model: usize,
    /// A full block each.
    tokens: Vec<u32>,
    blocks: Vec<Arc<Block>>,
}

impl KeptText {
    /// The number of full blocks that it has in common with the beginning of a text.
    fn common(&self, model: usize, text: &[u32]) -> usize {
        let pairs = self.tokens.iter().zip(text);
        let same = if self.model == model { pairs.take_while(|(own, other)| own == other).count() } else { 0 };
        same / BlockCache::BLOCK
    }
}

impl KeptTexts {
    /// Keeps what has been read of a text, in its full blocks, in place of what it goes on.
    pub(super) fn keep(&mut self, model: usize, read: &[u32], blocks: &[Arc<Block>]) {
        let full = read.len() / BlockCache::BLOCK;
        let tokens = read[..full * BlockCache::BLOCK].to_vec();
        self.0.retain(|kept| kept.common(model, &tokens) < kept.blocks.len());
        if full > 0 {
            self.0.push_front(KeptText { model, tokens, blocks: blocks[..full].to_vec() });
            self.0.truncate(MOST);
        }
    }

    /// The blocks of the longest beginning of a text that was read before with the same model. The last token is left to be
    /// read.
    pub(super) fn beginning(&mut self, model: usize, text: &[u32]) -> Vec<Arc<Block>> {
        let text = &text[..text.len().saturating_sub(1)];
        let lengths = self.0.iter().map(|kept| kept.common(model, text)).enumerate();
        let Some((index, common)) = lengths.max_by_key(|(_, common)| *common).filter(|(_, common)| *common > 0) else {
            return Vec::new();
        };
        let Some(kept) = self.0.remove(index) else { return Vec::new() };
        let blocks = kept.blocks[..common].to_vec();
        self.0.push_front(kept);
        blocks
    }

    /// Gives up the text that was of use longest ago. False if there is none.
    pub(super) fn give_up_oldest(&mut self) -> bool {
        self.0.pop_back().is_some()
    }

    /// The number of blocks that would be free without these texts.
    pub(super) fn blocks(&self) -> usize {
        self.0.iter().flat_map(|kept| &kept.blocks).filter(|block| Arc::strong_count(block) == 1).count()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::blocks::Blocks, *};

    const BLOCK: usize = BlockCache::BLOCK;

    #[test]
    fn full_blocks_of_the_same_beginning_are_found() {
        let supply = Blocks::new(8);
        let mut kept = KeptTexts::default();
        let text: Vec<u32> = (0..2 * BLOCK as u32 + 5).collect();
        let blocks: Vec<Arc<Block>> = (0..3).filter_map(|_| supply.take()).collect();
        let numbers: Vec<u32> = blocks.iter().map(|block| block.number()).collect();
        kept.keep(1, &text, &blocks);
        drop(blocks);
        // The block that is not full went back.
        assert_eq!((supply.free(), kept.blocks()), (6, 2));
        let found = |kept: &mut KeptTexts, model, text: &[u32]| {
            kept.beginning(model, text).iter().map(|block| block.number()).collect::<Vec<_>>()
        };
        assert_eq!(found(&mut kept, 1, &text), numbers[..2]);
        assert!(found(&mut kept, 0, &text).is_empty());
        // A token has to be left.
        assert_eq!(found(&mut kept, 1, &text[..2 * BLOCK]), numbers[..1]);
        let mut other = text.clone();
        other[BLOCK + 3] = 9999;
        assert_eq!(found(&mut kept, 1, &other), numbers[..1]);
        // A text takes the place of its beginning.
        let mut longer = text[..2 * BLOCK].to_vec();
        longer.extend([7; BLOCK]);
        let mut blocks = kept.beginning(1, &longer);
        blocks.extend(supply.take());
        kept.keep(1, &longer, &blocks);
        drop(blocks);
        assert_eq!(supply.free(), 5);
        assert!(kept.give_up_oldest() && !kept.give_up_oldest());
        assert_eq!(supply.free(), 8);
    }
}
