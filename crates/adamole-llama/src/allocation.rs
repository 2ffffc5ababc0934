//! Allocation of a number, such as the number of experts, to the layers of a model.

use adamole_core::SettingError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A number for each layer of a model. The layers are divided into groups of equal size, each with one number.
///
/// The presets are the expert allocations of MoLA (Gao et al. 2024), which has four groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Spelling", into = "Spelling")]
pub struct Allocation(Vec<usize>);

/// The allocations of MoLA: experts in each quarter of the layers, from the first layer on.
const PRESETS: [(&str, [usize; 4]); 4] = [
    ("triangle", [8, 6, 4, 2]),
    ("inverted-triangle", [2, 4, 6, 8]),
    ("hourglass", [8, 2, 2, 8]),
    ("rectangle", [5, 5, 5, 5]),
];

impl Allocation {
    /// The same number for all layers.
    pub fn uniform(number: usize) -> Self {
        Self(vec![number])
    }

    /// The number of layer `layer` of `layers`.
    pub fn at(&self, layer: usize, layers: usize) -> usize {
        self.0[(layer * self.0.len() / layers.max(1)).min(self.0.len() - 1)]
    }

    /// The largest number of a layer.
    pub fn max(&self) -> usize {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.0.len()
    }

    fn from_groups(groups: Vec<usize>) -> Result<Self, SettingError> {
        if groups.is_empty() { Err(invalid("empty")) } else { Ok(Self(groups)) }
    }
}

impl FromStr for Allocation {
    type Err = SettingError;

    /// Parses `8`, `8,6,4,2`, or the name of a preset.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        if let Some((_, groups)) = PRESETS.iter().find(|(name, _)| *name == text) {
            return Ok(Self(groups.to_vec()));
        }
        let numbers: Result<Vec<usize>, _> = text.split(',').map(|number| number.trim().parse()).collect();
        numbers.map_err(|_| invalid(text)).and_then(Self::from_groups)
    }
}

fn invalid(value: &str) -> SettingError {
    let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    let expected = format!("a number, a number for each group of layers, or one of {}", names.join(", "));
    SettingError::invalid("allocation", value, expected)
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

/// The forms of an allocation in a configuration file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling {
    Number(usize),
    Groups(Vec<usize>),
    Name(String),
}

impl TryFrom<Spelling> for Allocation {
    type Error = SettingError;
    fn try_from(spelling: Spelling) -> Result<Self, SettingError> {
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
    fn groups_divide_the_layers() {
        assert_eq!(over(3, "8"), [8, 8, 8]);
        assert_eq!(over(8, "inverted-triangle"), [2, 2, 4, 4, 6, 6, 8, 8]);
        assert_eq!(over(6, "triangle"), [8, 8, 6, 4, 4, 2]);
        assert_eq!(over(2, "1,2,3,4"), [1, 3]);
    }

    #[test]
    fn presets_have_the_same_total() {
        for (name, groups) in PRESETS {
            assert_eq!(groups.iter().sum::<usize>(), 20, "{name}");
        }
    }

    #[test]
    fn invalid_allocations_are_refused() {
        for text in ["", "many", "8,", "-1"] {
            assert!(text.parse::<Allocation>().is_err(), "{text}");
        }
    }
}
