//! The splits of a data set, and parts of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};

use crate::batches::shuffle::Stream;
use crate::error::{DataError, unknown_name};

/// A split of a data set, by the name of its file.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = DataError, parse_err_fn = unknown_name::<Self>)]
pub enum Split {
    /// The items that the adapter is trained on.
    Train,
    /// The items that select the epoch; the paper reports them too.
    Validation,
    /// Further items, often published without labels.
    Test,
}

/// A split, or a range of its items: `train`, `train[:200]`, `train[200:]` or `train[200:250]`. Indices count from 0 and the
/// end is excluded, as in the Python library `datasets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SplitPart {
    /// The split.
    pub split: Split,
    /// Index of the first item.
    pub from: usize,
    /// Index after the last item; `None` for the end of the split.
    pub to: Option<usize>,
}

impl SplitPart {
    /// At most the first `limit` items of this part.
    pub fn limited(self, limit: Option<usize>) -> Self {
        let end = limit.map(|limit| self.from.saturating_add(limit));
        Self { to: [self.to, end].into_iter().flatten().min(), ..self }
    }

    /// Whether this is less than the whole split.
    pub fn is_partial(self) -> bool {
        self.from > 0 || self.to.is_some()
    }

    /// The items of this part after all items of the split have been shuffled. The permutation depends on their number alone, so
    /// that parts of one split stay disjoint, and each part is a random sample of a sorted file.
    pub fn cut_shuffled<T>(self, mut items: Vec<T>) -> Vec<T> {
        Stream::new(0, 0).shuffle(&mut items);
        items.truncate(self.to.unwrap_or(usize::MAX));
        items.drain(..self.from.min(items.len()));
        items
    }

    /// Whether the two parts may have an item in common.
    pub fn overlaps(self, other: Self) -> bool {
        let before = |a: Self, b: Self| a.to.is_some_and(|to| to <= b.from);
        self.split == other.split && !before(self, other) && !before(other, self)
    }
}

impl From<Split> for SplitPart {
    fn from(split: Split) -> Self {
        Self { split, from: 0, to: None }
    }
}

impl FromStr for SplitPart {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let Some((split, range)) = text.split_once('[') else { return Ok(Self::from(text.parse::<Split>()?)) };
        let invalid = || DataError::SplitPart(text.to_owned());
        let (from, to) = range.strip_suffix(']').and_then(|range| range.split_once(':')).ok_or_else(invalid)?;
        let index = |text: &str| match text {
            "" => Ok(None),
            _ => text.parse::<usize>().map(Some).map_err(|_| invalid()),
        };
        let (from, to) = (index(from)?.unwrap_or(0), index(to)?);
        if to.is_some_and(|to| to <= from) {
            return Err(invalid());
        }
        Ok(Self { split: split.parse()?, from, to })
    }
}

impl fmt::Display for SplitPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = |from: usize| if from == 0 { String::new() } else { from.to_string() };
        match (self.from, self.to) {
            (0, None) => write!(f, "{}", self.split),
            (from, to) => write!(f, "{}[{}:{}]", self.split, start(from), to.map(start).unwrap_or_default()),
        }
    }
}

impl TryFrom<String> for SplitPart {
    type Error = DataError;
    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<SplitPart> for String {
    fn from(part: SplitPart) -> Self {
        part.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> SplitPart {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn parts_are_read_as_they_are_written() {
        for text in ["train", "test[:200]", "validation[200:]", "train[200:250]"] {
            assert_eq!(part(text).to_string(), text);
        }
        assert_eq!(part("train[0:]"), Split::Train.into());
        for text in ["tain", "train[", "train[5]", "train[a:]", "train[3:3]", "train[:5]x", "train[-5:]"] {
            assert!(text.parse::<SplitPart>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_counts_from_the_first() {
        assert_eq!(part("train[10:]").limited(Some(5)), part("train[10:15]"));
        assert_eq!(part("train[10:12]").limited(Some(5)), part("train[10:12]"));
        assert_eq!(part("train").limited(None), part("train"));
    }

    #[test]
    fn shuffled_parts_divide_the_items() {
        let all = || (0..100).collect::<Vec<usize>>();
        let (one, other) = (part("train[:30]").cut_shuffled(all()), part("train[30:]").cut_shuffled(all()));
        assert_eq!((one.len(), other.len()), (30, 70));
        assert!(one.iter().any(|item| *item > 70) && one != (0..30).collect::<Vec<_>>());
        let mut both: Vec<usize> = one.into_iter().chain(other).collect();
        both.sort_unstable();
        assert_eq!(both, all());
        assert!(part("train[200:]").cut_shuffled(all()).is_empty() && !part("train").is_partial());
    }

    #[test]
    fn parts_overlap_where_they_share_an_item() {
        assert!(part("train[:10]").overlaps(part("train[9:]")) && part("train").overlaps(part("train[5:6]")));
        assert!(!part("train[:10]").overlaps(part("train[10:]")) && !part("train").overlaps(part("test")));
    }
}
