//! Sums over a fixed tree, whose rounding does not depend on who adds what.
//!
//! Leaves `2 i` and `2 i + 1` of a level make leaf `i` of the next; what is left over at the end is added from the right. Any
//! run of neighbouring leaves is a few nodes of the tree, so that ranks that have a run of leaves each can sum their own
//! first.

use std::ops::Range;

/// A node's place: the leaves from `index << level`, as many as `1 << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) level: u32,
    pub(crate) index: usize,
}

/// The nodes of a run of neighbouring leaves, from the left, none of which are two halves of one.
#[derive(Debug)]
pub(crate) struct SumTree<T> {
    nodes: Vec<(Place, T)>,
}

impl<T> SumTree<T> {
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    /// Adds the node to the right of those that are there, and sums what is whole.
    pub(crate) fn push(&mut self, mut place: Place, mut value: T, add: impl Fn(T, T) -> T) {
        while let Some((left, _)) = self.nodes.last()
            && left.level == place.level
            && left.index + 1 == place.index
            && place.index % 2 == 1
            && let Some((left, left_value)) = self.nodes.pop()
        {
            place = Place { level: left.level + 1, index: left.index / 2 };
            value = add(left_value, value);
        }
        self.nodes.push((place, value));
    }

    /// The nodes, from the left.
    pub(crate) fn into_nodes(self) -> Vec<(Place, T)> {
        self.nodes
    }

    /// The sum of all leaves; `None` if there are none.
    pub(crate) fn sum(self, add: impl Fn(T, T) -> T) -> Option<T> {
        self.nodes.into_iter().map(|(_, value)| value).rev().reduce(|right, left| add(left, right))
    }
}

impl Place {
    pub(crate) fn leaf(index: usize) -> Self {
        Self { level: 0, index }
    }

    /// The nodes of these leaves.
    pub(crate) fn of(leaves: Range<usize>) -> Vec<Self> {
        let mut tree = SumTree::new();
        leaves.for_each(|index| tree.push(Self::leaf(index), (), |(), ()| ()));
        tree.into_nodes().into_iter().map(|(place, ())| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums as text, so that each rounding has its place.
    fn add(left: String, right: String) -> String {
        format!("({left}+{right})")
    }

    fn summed(runs: &[Range<usize>]) -> Option<String> {
        let mut whole = SumTree::new();
        for run in runs {
            let mut part = SumTree::new();
            run.clone().for_each(|leaf| part.push(Place::leaf(leaf), leaf.to_string(), add));
            let nodes = part.into_nodes();
            let places: Vec<Place> = nodes.iter().map(|(place, _)| *place).collect();
            assert_eq!(places, Place::of(run.clone()));
            nodes.into_iter().for_each(|(place, value)| whole.push(place, value, add));
        }
        whole.sum(add)
    }

    #[test]
    fn seven_leaves_are_summed_in_halves() {
        assert_eq!(summed(&[0..7, 7..7]).as_deref(), Some("(((0+1)+(2+3))+((4+5)+6))"));
        assert_eq!(summed(&[]), None);
    }

    #[test]
    fn the_sum_does_not_depend_on_who_has_which_leaves() {
        for count in 1..40 {
            let alone = summed(&[0..count, count..count]);
            for first in 0..=count {
                for second in first..=count {
                    assert_eq!(summed(&[0..first, first..second, second..count]), alone, "{first} {second} {count}");
                }
            }
        }
    }
}
