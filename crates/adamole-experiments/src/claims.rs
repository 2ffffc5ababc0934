//! The claims of the paper's text, compared with the results.

use crate::{
    experiment::{Claim, Column, Experiment, Metric},
    figure::of_layers,
    method::Source,
    results::{Results, Score},
};

/// The number of active experts below which a mixture has collapsed.
const COLLAPSED: f64 = 0.1;

/// A claim with its verdict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    /// The name of the table or figure.
    pub(crate) of: String,
    pub(crate) says: String,
    /// The numbers that decide it. Differences have their standard error.
    pub(crate) numbers: String,
    pub(crate) state: Verdict,
    /// Whether it follows from the method, so that a report in which it does not hold is wrong.
    pub(crate) is_structural: bool,
}

/// Whether a claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    DoesNotHold,
    /// The difference is smaller than two standard errors.
    NotDecided,
    NotRun,
}

impl Verdict {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::NotDecided => "not decided at this size",
            Self::NotRun => "not run",
        }
    }

    /// The verdict on a difference that should be positive.
    fn of_difference((difference, error): (f64, f64)) -> Self {
        match difference {
            _ if difference.abs() <= 2.0 * error || difference == 0.0 => Self::NotDecided,
            _ if difference > 0.0 => Self::Holds,
            _ => Self::DoesNotHold,
        }
    }

    /// The verdict on a fact without sampling error; `None` if results are missing.
    fn of_fact(holds: Option<bool>) -> Self {
        holds.map_or(Self::NotRun, |holds| if holds { Self::Holds } else { Self::DoesNotHold })
    }
}

/// All claims, in the order of the report.
pub(crate) fn findings(results: &Results<'_>) -> Vec<Finding> {
    let experiments = results.definitions.experiments.iter();
    let claims = experiments.flat_map(|experiment| experiment.claims.iter().map(move |claim| (experiment, claim)));
    claims.flat_map(|(experiment, claim)| of_claim(results, experiment, claim)).collect()
}

fn of_claim(results: &Results<'_>, experiment: &Experiment, claim: &Claim) -> Vec<Finding> {
    let subject = Subject { results, experiment };
    let found: Vec<(String, String, Verdict)> = match claim {
        Claim::Above { method } => {
            let others = experiment.rows.iter().filter(|row| *row != method);
            others.map(|other| subject.above(method, other)).collect()
        }
        Claim::Best { method } => experiment.columns.iter().map(|column| subject.best(column, method)).collect(),
        Claim::FallsToBase { method } => {
            experiment.columns.iter().map(|column| subject.falls_to_base(column, method)).collect()
        }
        Claim::Descending => experiment.columns.iter().map(|column| subject.descending(column)).collect(),
        Claim::DescendingInEveryLayer => {
            experiment.columns.iter().map(|column| subject.descending_in_layers(column)).collect()
        }
        Claim::LowerLayers => experiment.columns.iter().map(|column| subject.lower_layers(column)).collect(),
    };
    let finding = |(says, numbers, state)| Finding {
        of: experiment.name(),
        says,
        numbers,
        state,
        is_structural: claim.is_structural(),
    };
    found.into_iter().map(finding).collect()
}

/// The table or figure that a claim is about.
struct Subject<'a> {
    results: &'a Results<'a>,
    experiment: &'a Experiment,
}

impl Subject<'_> {
    fn name(&self, method: &str) -> String {
        self.results.definitions.methods.get(method).map_or_else(|| method.to_owned(), |known| known.name())
    }

    fn title<'a>(&'a self, column: &'a Column) -> &'a str {
        self.results.definitions.column_title(column)
    }

    fn score(&self, column: &Column, method: &str) -> Option<Score> {
        self.results.score(self.experiment, column, method, self.experiment.metric)
    }

    fn above(&self, method: &str, other: &str) -> (String, String, Verdict) {
        let says = format!("{} is above {}", self.name(method), self.name(other));
        let columns = &self.experiment.columns;
        let differences: Vec<(f64, f64)> = columns
            .iter()
            .filter_map(|column| Some(self.score(column, method)?.above(&self.score(column, other)?)))
            .collect();
        if differences.is_empty() {
            return (says, String::new(), Verdict::NotRun);
        }
        let number = differences.len() as f64;
        let mean = differences.iter().map(|(difference, _)| difference).sum::<f64>() / number;
        let error = differences.iter().map(|(_, error)| error.powi(2)).sum::<f64>().sqrt() / number;
        let wins = differences.iter().filter(|(difference, _)| *difference > 0.0).count();
        let of = if differences.len() < columns.len() { format!(" of {}", columns.len()) } else { String::new() };
        let numbers =
            format!("{mean:+.2} ± {error:.2}, the mean of {}{of} columns; above in {wins}", differences.len());
        (says, numbers, Verdict::of_difference((mean, error)))
    }

    fn best(&self, column: &Column, method: &str) -> (String, String, Verdict) {
        let says = format!("{} is best on {}", self.name(method), self.title(column));
        let others: Vec<&String> = self.experiment.rows.iter().filter(|row| *row != method).collect();
        let known = others.iter().filter_map(|row| Some((self.name(row), self.score(column, row)?)));
        let known: Vec<(String, Score)> = known.collect();
        let best = known.iter().max_by(|one, other| one.1.mean.total_cmp(&other.1.mean));
        let (Some(own), Some((name, other))) = (self.score(column, method), best) else {
            return (says, String::new(), Verdict::NotRun);
        };
        let (difference, error) = own.above(other);
        let numbers = format!("{:.2}, best other {name} {:.2}: {difference:+.2} ± {error:.2}", own.mean, other.mean);
        match Verdict::of_difference((difference, error)) {
            // A method that has not run may be better.
            Verdict::Holds if known.len() < others.len() => (says, numbers, Verdict::NotRun),
            state => (says, numbers, state),
        }
    }

    fn falls_to_base(&self, column: &Column, method: &str) -> (String, String, Verdict) {
        let says =
            format!("{} has no active expert and falls back to the base on {}", self.name(method), self.title(column));
        let active = self.results.score(self.experiment, column, method, Metric::Active);
        let base = self.results.of_base(self.experiment, column, Source::Untuned);
        let (Some(active), Some(own), Some(base)) = (active, self.score(column, method), base) else {
            return (says, String::new(), Verdict::NotRun);
        };
        let (difference, error) = own.above(&base);
        let numbers = format!(
            "{:.2} active, accuracy {:.2}, untuned base {:.2}: {difference:+.2} ± {error:.2}",
            active.mean, own.mean, base.mean
        );
        let holds = active.mean < COLLAPSED && difference.abs() <= 2.0 * error;
        (says, numbers, Verdict::of_fact(Some(holds)))
    }

    fn descending(&self, column: &Column) -> (String, String, Verdict) {
        let what = if self.experiment.metric == Metric::Active { "active experts" } else { "the values" };
        let says = format!("{what} fall from row to row on {}", self.title(column));
        let values: Vec<Option<f64>> =
            self.experiment.rows.iter().map(|row| self.score(column, row).map(|score| score.mean)).collect();
        let shown: Vec<String> =
            values.iter().map(|value| value.map_or("not run".into(), |value| format!("{value:.2}"))).collect();
        (says, shown.join(" > "), Verdict::of_fact(falls(&values)))
    }

    fn descending_in_layers(&self, column: &Column) -> (String, String, Verdict) {
        let says = format!("the larger the bound, the fewer active experts in every layer on {}", self.title(column));
        let rows: Vec<Vec<(u64, f64)>> = self
            .experiment
            .rows
            .iter()
            .map(|row| of_layers(&self.results.of_entry(self.experiment, column, row), None))
            .collect();
        let layers = rows.iter().map(Vec::len).min().unwrap_or(0);
        if layers == 0 {
            return (says, String::new(), Verdict::NotRun);
        }
        let falling =
            |layer: &usize| falls(&rows.iter().map(|row| Some(row[*layer].1)).collect::<Vec<_>>()) == Some(true);
        let number = (0..layers).filter(falling).count();
        (says, format!("in {number} of {layers} layers"), Verdict::of_fact(Some(number == layers)))
    }

    fn lower_layers(&self, column: &Column) -> (String, String, Verdict) {
        let says = format!("more experts are active in the lower layers than in the upper on {}", self.title(column));
        let cells = self.experiment.rows.first().map(|row| self.results.of_entry(self.experiment, column, row));
        let layers = of_layers(&cells.unwrap_or_default(), None);
        let half = layers.len() / 2;
        if half == 0 {
            return (says, String::new(), Verdict::NotRun);
        }
        let mean = |layers: &[(u64, f64)]| layers.iter().map(|(_, active)| active).sum::<f64>() / half as f64;
        let (lower, upper) = (mean(&layers[..half]), mean(&layers[layers.len() - half..]));
        let numbers = format!("{lower:.2} in the lower half of the layers, {upper:.2} in the upper");
        (says, numbers, Verdict::of_fact(Some(lower > upper)))
    }
}

/// Whether each value is smaller than the one before; `None` if one is missing.
fn falls(values: &[Option<f64>]) -> Option<bool> {
    let known: Option<Vec<f64>> = values.iter().copied().collect();
    known.map(|values| values.windows(2).all(|pair| pair[0] > pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_strict_and_unknown_while_values_are_missing() {
        assert_eq!(falls(&[Some(7.9), Some(6.0), Some(4.1)]), Some(true));
        assert_eq!(falls(&[Some(7.9), Some(6.0), Some(6.0)]), Some(false));
        assert_eq!(falls(&[Some(4.0), Some(6.0)]), Some(false));
        assert_eq!(falls(&[Some(7.9), None]), None);
    }

    #[test]
    fn a_difference_within_two_standard_errors_decides_nothing() {
        let verdict = |difference, error| Verdict::of_difference((difference, error));
        assert_eq!(verdict(3.0, 1.0), Verdict::Holds);
        assert_eq!(verdict(2.0, 1.0), Verdict::NotDecided);
        assert_eq!(verdict(-2.5, 1.0), Verdict::DoesNotHold);
        assert_eq!(verdict(0.0, 0.0), Verdict::NotDecided, "both know every item");
    }
}
