//! The text of a comparison's report.

use super::{
    Comparison, Group,
    costs::Cost,
    grid::Grid,
    judgement::{Judgement, Ranking},
    learned::Learned,
    rates::{Choice, Reached, Trial},
    reported,
};
use crate::{
    experiment::Column,
    method::Source,
    results::Results,
    runs,
    table::{percent, row_of},
};
use std::collections::BTreeMap;

/// What a report is made of.
pub(crate) struct Parts<'a> {
    pub(crate) comparison: &'a Comparison,
    pub(crate) results: &'a Results<'a>,
    pub(crate) grid: &'a Grid,
    pub(crate) choices: &'a [(String, Choice)],
    /// In the order of the groups.
    pub(crate) judgements: &'a [Vec<Judgement>],
    /// In the order of the benchmarks, of those on which a method has run.
    pub(crate) learned: &'a [Learned],
    pub(crate) ranking: Option<&'a Ranking>,
    pub(crate) costs: &'a BTreeMap<String, Cost>,
}

const STATISTICS: &str = "Accuracies are in percent of the reported items, of which none chose a rate or an epoch. The first standard \
    error is over seeds, the second over items (of each item's mean over seeds). A difference is tested on the same items: with one \
    seed by McNemar's exact test, with several by a bootstrap of the items (10000 resamples), in which the mean over n seeds varies \
    as Student's t with n - 1 degrees of freedom, since a few seeds say little of how far others may lie. The p-values of all \
    comparisons of a group are corrected together after Holm; *better* and *worse* need a corrected p below 0.05, and everything \
    else is *not distinguishable*, which does not say that methods are equal. *With this seed* is said of two runs, not of methods: \
    another seed may turn it round.";

/// What may explain a difference in any comparison; what is of one alone is in its preset.
const CONFOUNDS: [&str; 3] = [
    "**Rate.** Chosen for each method from the same list on the benchmarks named above with one seed; a benchmark of another kind may \
     want another. Where the choice is at an edge of the list, a value beyond it may be better.",
    "**Choice of the epoch.** By the accuracy on a few held-out training items; the more epochs differ by chance, the more that choice \
     costs.",
    "**Scoring.** By the letter of a choice after the prompt; other papers score whole continuations or generate text.",
];

impl Parts<'_> {
    /// The report; `plot` is the file with the chart of accuracy and cost, if there is one.
    pub(crate) fn markdown(&self, command: &str, plot: Option<&str>) -> String {
        let preset = &self.results.definitions.preset;
        let mut out = format!("# {}\n\n{}\n\n", preset.title, preset.about.trim());
        out += &runs::environment(self.results, command);
        out += "\nCells may have run beside other work; their wall time says nothing of the methods.\n";
        out += &self.missing();
        out += &runs::left_out(self.results);
        out += &format!("\n{STATISTICS}\n");
        out += &self.rates();
        out += &self.learned();
        for (group, judgements) in self.comparison.groups.iter().zip(self.judgements) {
            out += &self.group(group, judgements);
        }
        out += &self.ranked();
        out += &self.costs();
        if let Some(plot) = plot {
            out += &format!("\n![{plot}]({plot})\n");
        }
        out += "\n## What else may explain a difference\n\n";
        let confounds = self.comparison.confounds.iter().map(String::as_str).chain(CONFOUNDS);
        out += &confounds.map(|confound| format!("- {confound}\n")).collect::<String>();
        out += &self.runs();
        out + &runs::settings(self.results)
    }

    pub(super) fn name(&self, method: &str) -> String {
        self.results.definitions.methods.get(method).map_or_else(|| method.to_owned(), |known| known.name())
    }

    fn title<'a>(&'a self, benchmark: &'a str) -> &'a str {
        self.results.definitions.benchmark_title(benchmark)
    }

    /// What has not been run, by benchmark.
    fn missing(&self) -> String {
        let mut counts: BTreeMap<(bool, &str), (usize, usize)> = BTreeMap::new();
        for planned in self.results.cells {
            let cell = &planned.cell;
            let (done, all) = counts.entry((cell.trial_of.is_none(), cell.key.benchmark.as_str())).or_default();
            *done += usize::from(planned.outcome().is_some());
            *all += 1;
        }
        let lines: Vec<String> = counts
            .iter()
            .filter(|(_, (done, all))| done < all)
            .map(|((is_reported, benchmark), (done, all))| {
                let what = if *is_reported { "reported cells" } else { "trials of learning rates" };
                format!("- {}: {done} of {all} {what}", self.title(benchmark))
            })
            .collect();
        let failures: String = self
            .results
            .failures()
            .map(|(planned, failure)| {
                let last = failure.lines().rev().find(|line| !line.starts_with("logs:")).unwrap_or_default();
                format!("- {} failed: {last}\n", planned.cell.key.id())
            })
            .collect();
        let missing = match lines.is_empty() {
            true => "\nEvery cell has been run.\n".to_owned(),
            false => format!("\n## What has not been run\n\nOf these only a part:\n\n{}\n", lines.join("\n")),
        };
        if failures.is_empty() { missing } else { format!("{missing}\n{failures}") }
    }

    /// The trials of learning rates.
    fn rates(&self) -> String {
        let rates = &self.comparison.rates;
        let benchmarks: Vec<&str> = rates.benchmarks.iter().map(|name| self.title(name)).collect();
        let in_brackets = if benchmarks.len() > 1 { ", and in brackets that of each" } else { "" };
        let beyond = if rates.values.len() == 2 { " A rate between the two or beyond them may be better." } else { "" };
        let mut out = format!(
            "\n## Learning rates\n\nMean accuracy on the items that choose the epoch, of {} with seed {}, which is not \
             reported{in_brackets}. The best of a row is chosen, of equals the smallest.{beyond}\n\n",
            benchmarks.join(", "),
            rates.seed
        );
        // Every choice between two values is at an edge.
        let has_notes = rates.values.len() > 2;
        let note = |text: &str| has_notes.then(|| text.to_owned());
        let header: Vec<String> = rates.values.iter().map(|value| format!("{value:e}")).chain(note("")).collect();
        let rule = if has_notes { "---|" } else { "" };
        out += &format!("{}\n|---|{}{rule}\n", row_of("method", &header), "---:|".repeat(rates.values.len()));
        for (method, choice) in self.choices {
            let reached = |trial: Trial| match trial {
                Trial::Waiting => "not yet".to_owned(),
                Trial::Failed => "failed".to_owned(),
                Trial::Accuracy(accuracy) => percent(accuracy),
            };
            let shown = |(place, value): (usize, &Reached)| {
                let mean = reached(value.mean());
                let mean = if choice.best == Some(place) { format!("**{mean}**") } else { mean };
                match value.0.as_slice() {
                    [_] => mean,
                    each => format!("{mean} ({})", each.iter().copied().map(reached).collect::<Vec<_>>().join(", ")),
                }
            };
            let edge = note(if choice.is_at_the_edge() { "at the edge of the list" } else { "" });
            let cells = choice.values.iter().enumerate().map(shown).chain(edge);
            out += &format!("{}\n", row_of(&self.name(method), &cells.collect::<Vec<_>>()));
        }
        out
    }

    /// Which methods have learned which benchmark.
    fn learned(&self) -> String {
        let mut out = "\n## What has been learned\n\n".to_owned();
        if self.learned.is_empty() {
            return out + "Not yet: no method has run beside the untuned base.\n";
        }
        out += "Above the most frequent answer and the untuned base, with the whole interval of 95 % over items and seeds. Differences \
                between methods that have not learned a benchmark say nothing, and a benchmark that none has learned does not count in \
                the ranking.\n\n";
        let header = ["most frequent answer or base", "learned by", "not shown for"].map(str::to_owned);
        out += &format!("{}\n|---|---:|---|---|\n", row_of("benchmark", &header));
        for it in self.learned {
            let names = |methods: &[String]| match methods {
                [] => "–".to_owned(),
                _ => methods.iter().map(|method| self.name(method)).collect::<Vec<_>>().join("; "),
            };
            let cells = [format!("{:.1}", it.untrained), names(&it.above), names(&it.others)];
            out += &format!("{}\n", row_of(self.title(&it.benchmark), &cells));
        }
        out
    }

    /// The accuracies of a group, and its comparisons with the baseline.
    fn group(&self, group: &Group, judgements: &[Judgement]) -> String {
        let mut out = format!("\n## {}\n\n{}\n\n", group.title, group.about.trim());
        let benchmarks = &self.comparison.benchmarks;
        let header: Vec<String> = benchmarks.iter().map(|name| self.title(name).to_owned()).collect();
        out += &format!("{}\n|---|{}\n", row_of("accuracy", &header), "---:|".repeat(header.len()));
        for source in [Source::Majority, Source::Untuned] {
            let of_base = |name: &String| {
                let column = Column::of_benchmark(name.clone());
                self.results.of_base(reported(self.results.definitions)?, &column, source)
            };
            let shown =
                |name: &String| of_base(name).map_or_else(|| "not run".into(), |score| format!("{:.1}", score.mean));
            let cells: Vec<String> = benchmarks.iter().map(shown).collect();
            let name = if source == Source::Majority { "majority class" } else { "untuned base" };
            out += &format!("{}\n", row_of(name, &cells));
        }
        for method in group.all() {
            let shown = |benchmark: &String| match self.grid.summary(method, benchmark) {
                None => "not run".to_owned(),
                Some(it) => {
                    let over_seeds = it.over_seeds.map_or_else(|| "–".into(), |error| format!("{error:.1}"));
                    let seeds = match it.seeds {
                        all if all == self.results.seeds.len() => String::new(),
                        1 => " (1 seed)".into(),
                        some => format!(" ({some} seeds)"),
                    };
                    format!("{:.1} ± {over_seeds} ± {:.1}{seeds}", it.mean, it.over_items)
                }
            };
            out += &format!("{}\n", row_of(&self.name(method), &benchmarks.iter().map(shown).collect::<Vec<_>>()));
        }
        out += &format!("\nBeside {}:\n\n", self.name(&group.baseline));
        if judgements.is_empty() {
            return out + "Not yet: no method has run with a seed that the baseline has.\n";
        }
        let header = ["benchmark", "difference (95 %)", "seeds", "test", "p", "p, corrected", ""].map(str::to_owned);
        out += &format!("{}\n|---|---|---:|---:|---|---:|---:|---|\n", row_of("method", &header));
        for it in judgements {
            let words =
                if it.words() == "not distinguishable" { it.words().to_owned() } else { format!("**{}**", it.words()) };
            let cells = [
                self.title(&it.benchmark).to_owned(),
                format!("{:+.1} ({:+.1} to {:+.1})", it.difference, it.interval.0, it.interval.1),
                it.seeds.to_string(),
                it.test().to_owned(),
                format!("{:.4}", it.p),
                format!("{:.4}", it.adjusted),
                words,
            ];
            out += &format!("{}\n", row_of(&self.name(&it.method), &cells));
        }
        out
    }

    fn ranked(&self) -> String {
        let Some(ranking) = self.ranking else {
            return "\n## Ranking\n\nNot yet: no benchmark that a method has learned has been run with every method.\n"
                .into();
        };
        let benchmarks: Vec<&str> = ranking.benchmarks.iter().map(|name| self.title(name)).collect();
        let mut out = format!(
            "\n## Ranking\n\nBy the mean accuracy over {}, with intervals of 95 % over items and seeds. Methods whose ranks overlap \
             are not ranked by these data.\n\n{}\n|---|---:|---:|---:|\n",
            benchmarks.join(", "),
            row_of("method", &["mean accuracy", "rank", "best of all in"].map(str::to_owned))
        );
        for standing in &ranking.standings {
            let cells = [
                format!("{:.1} ({:.1} to {:.1})", standing.mean, standing.interval.0, standing.interval.1),
                format!("{} to {}", standing.ranks.0, standing.ranks.1),
                format!("{:.0} % of resamples", 100.0 * standing.best),
            ];
            out += &format!("{}\n", row_of(&self.name(&standing.method), &cells));
        }
        out
    }

    /// Every cell that has been run.
    fn runs(&self) -> String {
        let header =
            ["reported", "where chosen", "before", "best epoch", "task loss, first and last epoch", "active experts"];
        let mut out = format!("\n## All runs\n\n{}\n", row_of("cell", &header.map(str::to_owned)));
        out += &format!("|---|{}\n", "---:|".repeat(header.len()));
        for outcome in self.results.cells.iter().filter_map(|planned| planned.outcome()) {
            let Some(numbers) = outcome.numbers() else { continue };
            let number =
                |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
            let cells = match &numbers.training {
                None => vec![percent(numbers.accuracy), "–".into(), "–".into(), "–".into(), "–".into(), "–".into()],
                Some(it) => vec![
                    if outcome.is_of_selection() { "–".into() } else { percent(numbers.accuracy) },
                    percent(it.accuracy),
                    percent(it.accuracy_before),
                    format!("{} of {}", it.best_epoch, it.epochs),
                    format!("{}, {}", number(it.task_loss_first_epoch, 3), number(it.task_loss_last_epoch, 3)),
                    number(it.mean_active_experts, 2),
                ],
            };
            out += &format!("{}\n", row_of(&outcome.key().id(), &cells));
        }
        out
    }
}
