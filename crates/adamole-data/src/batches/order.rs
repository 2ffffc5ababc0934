//! The batches of an epoch and of an evaluation, as indices of examples.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use super::Buckets;
use super::shuffle::Stream;
use crate::error::{DataError, unknown_name};

/// The number of optimizer batches within which examples are sorted by length. More would save little padding and make the batches
/// less random.
const WINDOW: usize = 16;

/// The order of the examples of an epoch, each of which comes exactly once.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display, EnumString, VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = DataError, parse_err_fn = unknown_name::<Self>)]
pub enum Order {
    /// Micro-batches of similar length in random order. The examples are permuted and cut into windows of 16 batches; a window is
    /// sorted by length and dealt out to its micro-batches, whose order is random. Padding is small, and yet a batch mixes lengths
    /// and is composed differently in every epoch.
    #[default]
    Bucketed,
    /// The length-grouped sampler of transformers 4.38, which the reference implementation uses: the permutation is cut into windows
    /// of up to 50 batches, each sorted by descending length, and the longest example of all is swapped with the first. Whole
    /// batches have one length, and an epoch begins with the longest example.
    LengthGrouped,
}

/// The batches of one training epoch: a list of optimizer batches, which are lists of micro-batches, which are lists of indices
/// into `lengths`.
///
/// The result depends on the arguments alone, so that a run that resumes at batch `n` skips the first `n` batches. An optimizer
/// batch has `batch_size` examples, the last one the remainder; its micro-batches have `micro_batch` examples, the last one the
/// remainder. A size of 0 counts as 1.
pub fn epoch_batches(
    lengths: &[usize],
    batch_size: usize,
    micro_batch: usize,
    order: Order,
    seed: u64,
    epoch: u64,
) -> Vec<Vec<Vec<usize>>> {
    let (batch_size, micro_batch) = (batch_size.max(1), micro_batch.max(1));
    let mut stream = Stream::new(seed, epoch);
    let mut permutation: Vec<usize> = (0..lengths.len()).collect();
    stream.shuffle(&mut permutation);
    match order {
        Order::Bucketed => bucketed(permutation, lengths, batch_size, micro_batch, &mut stream),
        Order::LengthGrouped => {
            let order = length_grouped(permutation, lengths, batch_size);
            let micro_batches = |batch: &[usize]| batch.chunks(micro_batch).map(<[usize]>::to_vec).collect();
            order.chunks(batch_size).map(micro_batches).collect()
        }
    }
}

fn bucketed(
    mut permutation: Vec<usize>,
    lengths: &[usize],
    batch_size: usize,
    micro_batch: usize,
    stream: &mut Stream,
) -> Vec<Vec<Vec<usize>>> {
    let mut batches = Vec::with_capacity(lengths.len().div_ceil(batch_size));
    for window in permutation.chunks_mut(batch_size.saturating_mul(WINDOW)) {
        // The batch and the size of every micro-batch of the window.
        let mut slots = Vec::new();
        for batch in window.chunks(batch_size) {
            slots.extend(batch.chunks(micro_batch).map(|micro| (batches.len(), micro.len())));
            batches.push(Vec::new());
        }
        stream.shuffle(&mut slots);
        window.sort_by_key(|&example| lengths[example]);
        let mut rest = &*window;
        for (batch, size) in slots {
            let (micro, others) = rest.split_at(size);
            batches[batch].push(micro.to_vec());
            rest = others;
        }
    }
    batches
}

/// The texts of an optimizer batch in packs of at most `most` tokens; a longer text is a pack of its own.
///
/// The longest come first, and each goes into the first pack with room for it, which needs at most 11/9 of the fewest packs
/// (Johnson 1973).
pub fn by_tokens(texts: impl IntoIterator<Item = usize>, lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = texts.into_iter().collect();
    order.sort_by_key(|text| std::cmp::Reverse(lengths[*text]));
    let mut packs: Vec<(usize, Vec<usize>)> = Vec::new();
    for text in order {
        let length = lengths[text];
        match packs.iter_mut().find(|(tokens, _)| tokens.saturating_add(length) <= most) {
            Some((tokens, pack)) => {
                *tokens += length;
                pack.push(text);
            }
            None => packs.push((length, vec![text])),
        }
    }
    packs.into_iter().map(|(_, pack)| pack).collect()
}

/// The order of the length-grouped sampler. Its sort is stable.
fn length_grouped(mut permutation: Vec<usize>, lengths: &[usize], batch_size: usize) -> Vec<usize> {
    let windows = (lengths.len() / batch_size.saturating_mul(4)).clamp(1, 50);
    for window in permutation.chunks_mut(batch_size.saturating_mul(windows)) {
        window.sort_by_key(|example| std::cmp::Reverse(lengths[*example]));
    }
    // Of equally long examples the first, which is the first of its window.
    let longest = (0..permutation.len()).rev().max_by_key(|place| lengths[permutation[*place]]);
    if let Some(longest) = longest {
        permutation.swap(0, longest);
    }
    permutation
}

/// The batches of an evaluation: lists of indices into `lengths`, with each example exactly once.
///
/// The longest examples come first, so that a batch holds examples of similar length and a lack of memory shows at once. A batch has
/// at most `max_tokens_per_batch` tokens, including its padding to one of `buckets`; a longer example is a batch of its own.
pub fn evaluation_batches(lengths: &[usize], buckets: &Buckets, max_tokens_per_batch: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&example| std::cmp::Reverse(lengths[example]));
    let mut batches = Vec::new();
    let mut rest = &*order;
    while let Some(&longest) = rest.first() {
        let rows = (max_tokens_per_batch / buckets.columns(lengths[longest]).max(1)).clamp(1, rest.len());
        let (batch, others) = rest.split_at(rows);
        batches.push(batch.to_vec());
        rest = others;
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(1..300_usize, 0..700)
    }

    fn sorted(examples: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut examples: Vec<usize> = examples.into_iter().collect();
        examples.sort_unstable();
        examples
    }

    proptest! {
        #[test]
        fn an_epoch_has_every_example_once_in_batches_of_the_size(
            lengths in lengths(), batch in 1..20_usize, micro in 1..20_usize, seed: u64, epoch in 0..20_u64, published: bool,
        ) {
            let order = if published { Order::LengthGrouped } else { Order::Bucketed };
            let plan = epoch_batches(&lengths, batch, micro, order, seed, epoch);
            prop_assert_eq!(
                sorted(plan.iter().flatten().flatten().copied()),
                (0..lengths.len()).collect::<Vec<_>>()
            );
            for (i, batches) in plan.iter().enumerate() {
                let size = if i + 1 < plan.len() { batch } else { lengths.len() - i * batch };
                prop_assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), size);
                prop_assert_eq!(batches.len(), size.div_ceil(micro));
                prop_assert!(batches.iter().all(|examples| (1..=micro).contains(&examples.len())));
            }
        }

        #[test]
        fn packs_hold_every_text_once_within_the_limit(lengths in lengths(), most in 1..900_usize) {
            let packs = by_tokens(0..lengths.len(), &lengths, most);
            prop_assert_eq!(sorted(packs.iter().flatten().copied()), (0..lengths.len()).collect::<Vec<_>>());
            let tokens = |pack: &Vec<usize>| pack.iter().map(|&text| lengths[text]).sum::<usize>();
            prop_assert!(packs.iter().all(|pack| pack.len() == 1 || tokens(pack) <= most));
            // Of two packs that fit together the second would not have been opened.
            let open: Vec<usize> = packs.iter().map(tokens).filter(|tokens| 2 * tokens <= most).collect();
            prop_assert!(open.len() < 2);
        }

        #[test]
        fn an_evaluation_has_every_example_once_within_the_limit(
            lengths in lengths(), limit in 0..4000_usize, most in 1..9_usize,
        ) {
            let buckets = Buckets::fitting(&lengths, most);
            let plan = evaluation_batches(&lengths, &buckets, limit);
            prop_assert_eq!(sorted(plan.iter().flatten().copied()), (0..lengths.len()).collect::<Vec<_>>());
            for batch in plan {
                let cols = batch.iter().map(|&example| buckets.columns(lengths[example])).max().unwrap();
                prop_assert!(batch.len() == 1 || batch.len() * cols <= limit);
            }
        }
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_alone() {
        let lengths: Vec<usize> = (0..500).map(|i| 20 + i * 37 % 200).collect();
        let plan = |seed, epoch| epoch_batches(&lengths, 16, 4, Order::Bucketed, seed, epoch);
        assert_eq!(plan(7, 3), plan(7, 3));
        assert_ne!(plan(7, 3), plan(7, 4));
        assert_ne!(plan(7, 3), plan(8, 3));
        // A batch of one epoch is not a batch of the next one in another place.
        let batches = |epoch| {
            let plan = plan(7, epoch);
            plan.into_iter().map(|batch| sorted(batch.into_iter().flatten())).collect::<Vec<_>>()
        };
        let next = batches(4);
        assert!(batches(3).iter().all(|batch| !next.contains(batch)));
    }

    #[test]
    fn micro_batches_are_grouped_by_length_and_batches_are_not() {
        let lengths: Vec<usize> = (0..2000).map(|i| 20 + i * 37 % 200).collect();
        let plan = epoch_batches(&lengths, 16, 4, Order::Bucketed, 0, 0);
        let buckets = Buckets::fitting(&lengths, Buckets::FEW);
        let padded: usize = plan
            .iter()
            .flatten()
            .map(|micro| micro.len() * buckets.columns(micro.iter().map(|&i| lengths[i]).max().unwrap()))
            .sum();
        let share = 1.0 - lengths.iter().sum::<usize>() as f64 / padded as f64;
        assert!(share < 0.08, "{share} of all tokens are padding");
        // Were whole batches sorted, their mean lengths would be spread as widely as the lengths themselves.
        let mean = |batch: &Vec<Vec<usize>>| {
            let examples = batch.iter().flatten();
            examples.map(|&i| lengths[i]).sum::<usize>() as f64 / 16.0
        };
        let far = plan.iter().filter(|batch| (mean(batch) - 119.5).abs() > 60.0).count();
        assert!(far * 10 < plan.len(), "{far} of {} batches are far from the mean length", plan.len());
    }

    /// `{lengths, batch_size, permutation, order}`, as transformers 4.38.2 made them.
    const PUBLISHED: &str = include_str!("../../tests/length_grouped_sampler.json");

    #[test]
    fn the_length_grouped_order_is_as_published() {
        #[derive(Deserialize)]
        struct Case {
            lengths: Vec<usize>,
            batch_size: usize,
            permutation: Vec<usize>,
            order: Vec<usize>,
        }
        let cases: Vec<Case> = serde_json::from_str(PUBLISHED).unwrap();
        assert!(cases.len() > 1);
        for Case { lengths, batch_size, permutation, order } in cases {
            assert_eq!(length_grouped(permutation, &lengths, batch_size), order);
        }
    }
}
