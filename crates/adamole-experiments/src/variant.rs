//! The runs behind a table's rows and columns: a method with the settings of a column. Columns with the same settings share a run.

use crate::ExperimentError;
use crate::{
    definition::Definitions,
    experiment::Rate,
    method::{Experts, Source},
};
use std::collections::BTreeMap;
use toml::Table;

/// A method with the settings of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    pub(crate) column: String,
    pub(crate) method: String,
    /// Its name in cells: that of the method, and if the settings are not the method's own, of the first column with these settings.
    pub(crate) name: String,
    /// Settings without formulas.
    pub(crate) settings: Table,
    /// Where its learning rate comes from.
    pub(crate) rate: Rate,
}

/// The runs of every experiment.
pub(crate) fn variants(definitions: &Definitions) -> Result<BTreeMap<String, Vec<Variant>>, ExperimentError> {
    let mut named: BTreeMap<String, Table> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for experiment in &definitions.experiments {
        let mut of_experiment: Vec<Variant> = Vec::new();
        for (column, row) in
            experiment.columns.iter().flat_map(|column| experiment.all_rows().map(move |row| (column, row)))
        {
            let Some(method) = definitions.methods.get(row) else { continue };
            let own = Experts::default().evaluate(&method.settings);
            let mut settings = column.experts.evaluate(&method.settings);
            // The base alone has no settings of training.
            if method.source == Source::Trained {
                settings.extend(column.settings.clone());
            }
            let same = of_experiment.iter().find(|known| known.method == *row && known.settings == settings);
            let name = match same {
                Some(known) => known.name.clone(),
                None if settings == own => row.clone(),
                None => {
                    let column = column.id.rsplit(':').next().unwrap_or(&column.id);
                    format!("{row}-{}", column.replace(['/', ' ', ','], "_"))
                }
            };
            if named.insert(name.clone(), settings.clone()).is_some_and(|known| known != settings) {
                return Err(ExperimentError::SameName { file: format!("{}.toml", experiment.id), name });
            }
            let (column, method) = (column.id.clone(), row.clone());
            of_experiment.push(Variant { column, method, name, settings, rate: experiment.rate });
        }
        all.insert(experiment.id.clone(), of_experiment);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_the_same_settings_share_a_run() -> Result<(), crate::TestError> {
        let definitions = Definitions::read("tiny", None)?;
        let table5 = definitions.experiments.iter().find(|experiment| experiment.id == "table5").ok_or("table5")?;
        let names = |method: &str| -> Vec<&str> {
            let columns = table5.columns.iter();
            columns.filter_map(|column| Some(definitions.variant(table5, &column.id, method)?.name.as_str())).collect()
        };
        assert_eq!(names("lora"), ["lora-4x4", "lora", "lora", "lora-8x8", "lora-8x8"]);
        assert_eq!(names("adamole"), ["adamole-4x4", "adamole-4x8", "adamole", "adamole-8x8", "adamole-16x4"]);
        let settings = |column, method: &str| definitions.variant(table5, column, method).map(|v| v.settings.clone());
        let lora = settings("16x4", "lora").ok_or("lora")?;
        assert_eq!(lora["rank"].as_integer(), Some(64));
        let threshold = settings("4x8", "mole-threshold").ok_or("mole")?;
        assert_eq!((threshold["threshold"].as_float(), threshold["rank"].as_integer()), (Some(0.25), Some(8)));
        Ok(())
    }
}
