//! The division of rows into a training and a validation part.

use std::collections::HashMap;

use super::content::TextRow;
use crate::batches::shuffle::Stream;

/// For each row the number of its group: rows of the same content are one group. Groups are numbered in the order of their first
/// rows.
pub(super) fn groups(rows: &[TextRow]) -> Vec<usize> {
    let mut known = HashMap::with_capacity(rows.len());
    rows.iter()
        .map(|row| {
            let next = known.len();
            *known.entry(&row.content).or_insert(next)
        })
        .collect()
}

/// Which rows are drawn for validation: `count` of them, or fewer where a whole group does not fit.
///
/// The rows are walked through in a random order that depends on `seed` and their number alone. The group of each row is drawn as
/// a whole, unless it has more rows than are still to be drawn. If no group is small enough, the smallest is drawn. `None` if all
/// rows are one group, or there is no row.
pub(super) fn draw(groups: &[usize], count: usize, seed: u64) -> Option<Vec<bool>> {
    let mut sizes = vec![0_usize; groups.iter().max()? + 1];
    groups.iter().for_each(|&group| sizes[group] += 1);
    if sizes.len() < 2 {
        return None;
    }
    let mut order: Vec<usize> = (0..groups.len()).collect();
    Stream::new(seed, 0).shuffle(&mut order);
    let (mut left, mut drawn) = (count.clamp(1, groups.len() - 1), vec![false; sizes.len()]);
    for row in order {
        let group = groups[row];
        if !drawn[group] && sizes[group] <= left {
            left -= sizes[group];
            drawn[group] = true;
        }
    }
    if !drawn.contains(&true) {
        let smallest = (0..sizes.len()).min_by_key(|&group| sizes[group])?;
        drawn[smallest] = true;
    }
    Some(groups.iter().map(|&group| drawn[group]).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_draw_of_a_seed_does_not_change_between_versions() {
        let groups: Vec<usize> = (0..12).collect();
        let drawn = |seed| (0..12).filter(|&i| draw(&groups, 3, seed).unwrap()[i]).collect::<Vec<usize>>();
        assert_eq!([drawn(0), drawn(1), drawn(7)], [[5, 6, 9], [0, 2, 9], [2, 7, 8]]);
    }

    #[test]
    fn rows_of_one_content_cannot_be_divided() {
        assert_eq!(draw(&[], 1, 0), None);
        assert_eq!(draw(&[0, 0, 0], 1, 0), None);
        assert_eq!(draw(&[0, 0, 0, 1, 1], 1, 0), Some(vec![false, false, false, true, true]));
    }

    proptest! {
        #[test]
        fn a_draw_keeps_groups_together_and_leaves_rows_on_both_sides(
            numbers in prop::collection::vec(0..30_usize, 2..60), count in 0..70_usize, seed: u64,
        ) {
            // Numbered in the order of their first rows.
            let mut known = HashMap::new();
            let groups: Vec<usize> = numbers.iter().map(|number| { let next = known.len(); *known.entry(number).or_insert(next) }).collect();
            let Some(drawn) = draw(&groups, count, seed) else {
                prop_assert_eq!(known.len(), 1);
                return Ok(());
            };
            prop_assert_eq!(drawn.len(), groups.len());
            prop_assert!(drawn.contains(&true) && drawn.contains(&false));
            for (i, j) in (0..groups.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
                prop_assert!(groups[i] != groups[j] || drawn[i] == drawn[j]);
            }
            prop_assert_eq!(&draw(&groups, count, seed).unwrap(), &drawn);
            let wanted = count.clamp(1, groups.len() - 1);
            let number = drawn.iter().filter(|drawn| **drawn).count();
            let sizes = |group| groups.iter().filter(|g| **g == group).count();
            let smallest = (0..known.len()).map(sizes).min().unwrap_or(0);
            prop_assert!(number <= wanted.max(smallest));
            if known.len() == groups.len() {
                prop_assert_eq!(number, wanted);
            }
        }
    }
}
