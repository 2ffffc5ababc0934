//! Settings that follow the number of experts N and the rank r of one expert, in the paper's notation.

use toml::{Table, Value};

/// Number of experts and rank of one expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Experts {
    pub(crate) number: u32,
    pub(crate) rank: u32,
}

impl Default for Experts {
    /// The paper's: 8 experts of rank 4.
    fn default() -> Self {
        Self { number: 8, rank: 4 }
    }
}

impl Experts {
    /// The settings with numbers in place of formulas: `N`, `r`, `N r`, `1/N`, `3/(2N)`. Other texts stay.
    pub(crate) fn evaluate(self, settings: &Table) -> Table {
        let evaluated = |value: &Value| value.as_str().and_then(|text| self.value(text));
        settings.iter().map(|(key, value)| (key.clone(), evaluated(value).unwrap_or_else(|| value.clone()))).collect()
    }

    fn value(self, text: &str) -> Option<Value> {
        let Self { number, rank } = self;
        match text {
            "N" => Some(i64::from(number).into()),
            "r" => Some(i64::from(rank).into()),
            "N r" => Some((i64::from(number) * i64::from(rank)).into()),
            _ => {
                let (over, under) = text.split_once('/')?;
                let factor = under.trim_start_matches('(').trim_end_matches(')').strip_suffix('N')?;
                let factor: u32 = if factor.is_empty() { 1 } else { factor.parse().ok()? };
                let over: u32 = over.parse().ok()?;
                Some((f64::from(over) / (f64::from(factor) * f64::from(number))).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_follow_n_and_r_and_other_texts_stay() {
        let experts = Experts { number: 4, rank: 8 };
        let value = |text: &str| experts.value(text);
        assert_eq!(value("N"), Some(Value::Integer(4)));
        assert_eq!(value("r"), Some(Value::Integer(8)));
        assert_eq!(value("N r"), Some(Value::Integer(32)));
        let fractions = ["1/N", "1/(2N)", "3/(2N)", "2/N"].map(value);
        assert_eq!(fractions, [0.25, 0.125, 0.375, 0.5].map(|share| Some(Value::Float(share))));
        assert_eq!(["adamole", "8,4", "a/b", "1/2", "datasets/base"].map(value), [const { None }; 5]);
    }
}
