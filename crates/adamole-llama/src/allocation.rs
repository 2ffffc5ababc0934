//! How many of something each layer gets: the same everywhere, or more in some parts of the model than in others.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One number for each of a model's layers, given for equal groups of them.
///
/// MoLA (Gao et al. 2024) divides the layers into four groups; its allocations of experts are presets here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Spelling", into = "Spelling")]
pub struct Allocation(Vec<usize>);

/// MoLA's allocations by name: experts in each quarter of the layers, from the bottom.
const PRESETS: [(&str, [usize; 4]); 4] = [
    ("triangle", [8, 6, 4, 2]),
    ("inverted-triangle", [2, 4, 6, 8]),
    ("hourglass", [8, 2, 2, 8]),
    ("rectangle", [5, 5, 5, 5]),
];

impl Allocation {
    /// The same number in every layer.
    pub fn uniform(number: usize) -> Self {
        Self(vec![number])
    }

    /// The number of layer `layer` among `layers`.
    pub fn at(&self, layer: usize, layers: usize) -> usize {
        self.0[(layer * self.0.len() / layers.max(1)).min(self.0.len() - 1)]
    }

    /// The largest of the numbers.
    pub fn max(&self) -> usize {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// Number of groups that the layers divide into.
    pub fn groups(&self) -> usize {
        self.0.len()
    }

    fn from_groups(groups: Vec<usize>) -> Result<Self, String> {
        if groups.is_empty() {
            return Err("an empty list, expected a number for each group of layers".into());
        }
        Ok(Self(groups))
    }
}

impl FromStr for Allocation {
    type Err = String;

    /// `8`, `8,6,4,2`, or a preset's name.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, groups)) = PRESETS.iter().find(|(name, _)| *name == text) {
            return Ok(Self(groups.to_vec()));
        }
        let numbers: Result<Vec<usize>, _> = text.split(',').map(|number| number.trim().parse()).collect();
        numbers.map_err(|_| not_valid(text)).and_then(Self::from_groups)
    }
}

fn not_valid(text: &str) -> String {
    let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    format!("{text} is no allocation, expected a number, a number for each group of layers, or {}", names.join(", "))
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

/// The forms in a configuration file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling {
    Number(usize),
    Groups(Vec<usize>),
    Name(String),
}

impl TryFrom<Spelling> for Allocation {
    type Error = String;
    fn try_from(spelling: Spelling) -> Result<Self, String> {
        match spelling {
            Spelling::Number(number) => Ok(Self::uniform(number)),
            Spelling::Groups(groups) => Self::from_groups(groups),
            Spelling::Name(name) => name.parse(),
        }
    }
}

impl From<Allocation> for Spelling {
    fn from(Allocation(groups): Allocation) -> Self {
        match groups[..] {
            [number] => Self::Number(number),
            _ => Self::Groups(groups),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(layers: usize, text: &str) -> Vec<usize> {
        let allocation: Allocation = text.parse().unwrap_or_else(|error| panic!("{error}"));
        (0..layers).map(|layer| allocation.at(layer, layers)).collect()
    }

    #[test]
    fn groups_are_spread_over_the_layers() {
        assert_eq!(over(3, "8"), [8, 8, 8]);
        assert_eq!(over(8, "inverted-triangle"), [2, 2, 4, 4, 6, 6, 8, 8]);
        assert_eq!(over(6, "triangle"), [8, 8, 6, 4, 4, 2]);
        assert_eq!(over(2, "1,2,3,4"), [1, 3]);
    }

    #[test]
    fn the_presets_share_out_the_same_number() {
        for (name, groups) in PRESETS {
            assert_eq!(groups.iter().sum::<usize>(), 20, "{name}");
        }
    }

    #[test]
    fn what_is_no_allocation_is_refused() {
        for text in ["", "many", "8,", "-1"] {
            assert!(text.parse::<Allocation>().is_err(), "{text}");
        }
    }
}
