//! The padded lengths of batches: few, so that a GPU compiles few shapes, and chosen for little padding.

/// The padded lengths of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    /// Ascending.
    lengths: Vec<usize>,
}

/// Lengths are a multiple of this, for the matrix kernels.
const MULTIPLE: usize = 4;

impl Buckets {
    /// The number of buckets for training.
    pub const FEW: usize = 16;

    /// At most `most` buckets, each a multiple of 4, with the least padding for texts of these `lengths`.
    ///
    /// Dynamic programming over the longest text of each bucket finds them.
    pub fn fitting(lengths: &[usize], most: usize) -> Self {
        let mut counts = std::collections::BTreeMap::<usize, usize>::new();
        for length in lengths {
            *counts.entry(length.next_multiple_of(MULTIPLE)).or_default() += 1;
        }
        let (widths, counts): (Vec<usize>, Vec<usize>) = counts.into_iter().unzip();
        // Sums up to each width, so that the padding of a bucket is a difference.
        let mut sums = vec![(0, 0)];
        for (width, count) in widths.iter().zip(&counts) {
            let (texts, tokens) = sums.last().copied().unwrap_or_default();
            sums.push((texts + count, tokens + count * width));
        }
        let padding = |from: usize, to: usize| {
            let (texts, tokens) = (sums[to].0 - sums[from].0, sums[to].1 - sums[from].1);
            texts * widths[to - 1] - tokens
        };

        // best[to] is the least padding of the first `to` widths; each round allows one more bucket.
        let mut best: Vec<usize> = (0..=widths.len()).map(|to| if to == 0 { 0 } else { padding(0, to) }).collect();
        let mut rounds = vec![vec![0; widths.len() + 1]];
        for _ in 1..most.max(1).min(widths.len()) {
            let choose = |to: usize| {
                let split = |from: usize| (best[from] + padding(from, to), from);
                (0..to).map(split).min().unwrap_or((0, 0))
            };
            let (next, chosen) = (0..=widths.len()).map(choose).unzip();
            best = next;
            rounds.push(chosen);
        }
        let (mut chosen, mut to) = (Vec::new(), widths.len());
        for from in rounds.iter().rev() {
            if to > 0 {
                chosen.push(widths[to - 1]);
                to = from[to];
            }
        }
        chosen.reverse();
        Self { lengths: chosen }
    }

    /// Every multiple of 8.
    pub fn any() -> Self {
        Self { lengths: Vec::new() }
    }

    /// The padded length of a batch whose longest text has `length` tokens: the next bucket, or the next multiple of 8 beyond the
    /// largest bucket.
    pub fn columns(&self, length: usize) -> usize {
        let bucket = self.lengths.get(self.lengths.partition_point(|bucket| *bucket < length));
        bucket.copied().unwrap_or_else(|| length.next_multiple_of(8))
    }

    /// The lengths, ascending.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn padding(buckets: &Buckets, lengths: &[usize]) -> usize {
        lengths.iter().map(|length| buckets.columns(*length) - length).sum()
    }

    #[test]
    fn lengths_in_two_groups_make_two_buckets() {
        let lengths = [30, 31, 32, 30, 200, 197];
        assert_eq!(Buckets::fitting(&lengths, 2).lengths(), [32, 200]);
        assert_eq!(Buckets::fitting(&lengths, 1).lengths(), [200]);
        assert_eq!(Buckets::fitting(&lengths, 9).lengths(), [32, 200]);
        assert_eq!(Buckets::fitting(&[], 3), Buckets::any());
        assert_eq!(Buckets::any().columns(17), 24);
    }

    proptest! {
        #[test]
        fn no_other_choice_pads_less(lengths in prop::collection::vec(1..60_usize, 1..40), most in 1..4_usize) {
            let buckets = Buckets::fitting(&lengths, most);
            prop_assert!(buckets.lengths().len() <= most);
            prop_assert!(lengths.iter().all(|length| buckets.lengths().contains(&buckets.columns(*length))));
            let last = buckets.lengths().last().copied().unwrap();
            for a in (MULTIPLE..last).step_by(MULTIPLE) {
                for b in (a..last).step_by(MULTIPLE) {
                    let mut other = vec![last];
                    other.extend([a, b].iter().take(most - 1));
                    other.sort_unstable();
                    let other = Buckets { lengths: other };
                    prop_assert!(padding(&buckets, &lengths) <= padding(&other, &lengths));
                }
            }
        }
    }
}
