//! The settings of adapters: those of every method, and those that each method declares.

use super::{
    headings::ADAPTER,
    method_name::MethodName,
    settings::{Declared, FlagSet, Settings, groups},
};
use adamole::{
    core::{
        AdaMole, AdapterConfig, MethodKind, MethodSettings, Setting, SettingError, SettingGroup, SettingMap, settings,
    },
    llama::{AdapterLayout, Allocation, ModelConfig, Targets},
    train::Recipe,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// The largest alpha; those in use are below 1000.
const MAX_ALPHA: f32 = 1e6;
/// The most rows that the experts of a linear have together: more than any model is wide.
const MAX_WIDTH: usize = 1 << 16;

settings! {
    /// The settings of adapters of every method.
    #[derive(Debug)]
    pub(super) struct Common {
        /// Which experts an adapter has, and how tokens choose among them.
        method: MethodName = MethodName(&AdaMole::KIND), common;
        /// Rank of one expert.
        rank: Option<Allocation> = None, shown("32 / num_experts; 32 for a plain LoRA"), per_layer, common;
        /// Numerator of the scale alpha / rank. A method may scale in another way.
        alpha: f32 = 16.0, common;
        /// Dropout on the input of the experts.
        dropout: f32 = 0.05;
        /// Linears to adapt.
        targets: Option<Targets> = None, shown("q_proj,k_proj,v_proj,o_proj; all linears for mixlora"), common;
    }
}

/// The settings of the methods. A setting of several methods is one setting.
pub(super) fn of_methods() -> Vec<Declared> {
    let mut all: Vec<Declared> = Vec::new();
    for kind in MethodKind::all() {
        for setting in kind.settings {
            match all.iter_mut().find(|it| it.setting.name == setting.name) {
                Some(it) => it.methods.push(kind),
                None => all.push(Declared::new(in_layers(*setting), vec![kind])),
            }
        }
    }
    all
}

/// The setting with a value for each group of layers, where there may be one.
fn in_layers(setting: Setting) -> Setting {
    if setting.per_layer { setting.with_values::<Allocation>() } else { setting }
}

/// The settings of the adapters of a model with any number of layers.
#[derive(Debug, Clone)]
pub(crate) struct AdapterSettings {
    pub(crate) method: MethodName,
    num_experts: Allocation,
    rank: Allocation,
    alpha: f32,
    dropout: f32,
    /// The method's own settings, the number of experts apart, as far as they are given.
    own: SettingMap,
    targets: Targets,
}

impl FlagSet for AdapterSettings {
    fn has(it: &Declared) -> bool {
        let mut own = groups().iter().filter(|group| group.title == ADAPTER).flat_map(|group| &group.settings);
        own.any(|own| own.setting.name == it.setting.name)
    }

    fn from_given(given: Settings) -> Result<Self, SettingError> {
        Self::resolve(given.map())
    }
}

impl AdapterSettings {
    /// Fills in the defaults and checks every value, before a model is read.
    ///
    /// # Errors
    /// A setting is not valid, or not one of the method.
    pub(crate) fn resolve(given: &SettingMap) -> Result<Self, SettingError> {
        let Common { method, rank, alpha, dropout, targets } = Common::from_settings(given)?;
        // The number of experts of a plain LoRA is 1, whatever is given.
        let experts = MethodSettings::NUM_EXPERTS.name;
        let own = MethodKind::all().flat_map(|kind| kind.settings).map(|setting| setting.name);
        let own = own.filter(|name| *name != experts);
        let own: SettingMap = own.filter_map(|name| Some((name.to_owned(), given.get(name)?.clone()))).collect();
        if let Some(name) = own.keys().find(|name| method.0.setting(name).is_none()) {
            return Err(SettingError::OtherMethod { name: name.clone(), method: method.0.name });
        }
        let value = |setting: &Setting| given.get(experts).cloned().or_else(|| setting.default_value());
        let num_experts = method.0.setting(experts).and_then(value);
        let num_experts = num_experts.map_or(Ok(Allocation::uniform(1)), |value| allocation(experts, &value))?;
        let default_rank = (32 / num_experts.max().max(1)).max(1);
        let rank = rank.unwrap_or_else(|| Allocation::uniform(default_rank));
        let has_targets = targets.is_some();
        let targets = targets.unwrap_or_else(Targets::attention);
        let mut settings = Self { method, num_experts, rank, alpha, dropout, own, targets };
        let configs = settings.checked_configs()?;
        if !has_targets && configs.iter().any(|config| config.method.block_choices().is_some()) {
            settings.targets = Targets::all();
        }
        Ok(settings)
    }

    /// The configs, as of `configs`, of values that go together.
    fn checked_configs(&self) -> Result<Vec<AdapterConfig>, SettingError> {
        // Beyond it gradients, which have the scale alpha / rank, are not finite in 32 bits.
        if !(self.alpha > 0.0 && self.alpha <= MAX_ALPHA) {
            let expected = format!("a number above 0 and at most {MAX_ALPHA}");
            return Err(SettingError::invalid("alpha", self.alpha, expected));
        }
        let (experts, ranks) = (self.num_experts.max(), self.rank.max());
        if experts.saturating_mul(ranks) > MAX_WIDTH {
            let expected = format!("num_experts times rank to be at most {MAX_WIDTH}");
            return Err(SettingError::invalid("rank", format!("{ranks} with {experts} experts"), expected));
        }
        self.configs()
    }

    /// A config for each of the fewest layers among which every group of layers has one.
    fn configs(&self) -> Result<Vec<AdapterConfig>, SettingError> {
        let own = self.own.iter().filter_map(|(name, value)| {
            let setting = self.method.0.setting(name).filter(|setting| setting.per_layer)?;
            allocation(setting.name, value).ok()
        });
        let groups = own.map(|allocation| allocation.groups()).max().unwrap_or(1);
        let layers = groups.max(self.num_experts.groups()).max(self.rank.groups());
        (0..layers).map(|layer| self.config(layer, layers)).collect()
    }

    /// Why no expert is active under these settings, if that is so: to be reported before a long run. Nothing is refused,
    /// since the paper's own table has such a row.
    pub(crate) fn never_active(&self) -> Option<String> {
        self.configs().ok()?.iter().find_map(|config| config.method.never_active())
    }

    /// The recipe of a run with these adapters. The default weight of the auxiliary loss depends on the method.
    ///
    /// # Errors
    /// A setting is not valid.
    pub(crate) fn recipe(&self, given: &SettingMap) -> Result<Recipe, SettingError> {
        let mut recipe = Recipe::from_settings(given)?;
        if !given.contains_key("balance_coefficient") {
            let scales = self.configs()?.into_iter().map(|config| config.method.auxiliary_loss_scale());
            recipe.balance_coefficient *= scales.fold(0.0, f32::max);
        }
        recipe.validate()?;
        Ok(recipe)
    }

    /// The adapters of a model.
    ///
    /// # Errors
    /// A setting is not valid, or the model does not have a target.
    pub(crate) fn layout(&self, model: &ModelConfig) -> Result<AdapterLayout, SettingError> {
        let layers = model.num_hidden_layers;
        let configs = (0..layers).map(|layer| self.config(layer, layers)).collect::<Result<Vec<_>, _>>()?;
        AdapterLayout::per_layer(&configs, &self.targets, model)
    }

    /// The adapter of the linears of layer `layer` among `layers`.
    ///
    /// # Errors
    /// A setting is not valid.
    pub(crate) fn config(&self, layer: usize, layers: usize) -> Result<AdapterConfig, SettingError> {
        let experts = MethodSettings::NUM_EXPERTS.name;
        let value = |setting: &'static Setting| -> Result<Option<Value>, SettingError> {
            match self.own.get(setting.name) {
                _ if setting.name == experts => Ok(Some(self.num_experts.at(layer, layers).into())),
                Some(value) if setting.per_layer => Ok(Some(allocation(setting.name, value)?.at(layer, layers).into())),
                Some(value) => Ok(Some(value.clone())),
                None => Ok(setting.default_value()),
            }
        };
        let kind = self.method.0;
        let values =
            kind.settings.iter().map(|setting| Ok((setting.name.to_owned(), value(setting)?.unwrap_or_default())));
        let values: MethodSettings = values.collect::<Result<_, SettingError>>()?;
        Ok(AdapterConfig {
            method: (kind.build)(&values)?,
            rank: self.rank.at(layer, layers).try_into()?,
            alpha: self.alpha,
            dropout: self.dropout.try_into()?,
        })
    }
}

/// The value of a setting for each group of layers.
fn allocation(name: &'static str, value: &Value) -> Result<Allocation, SettingError> {
    serde_json::from_value(value.clone()).map_err(|error| SettingError::Malformed { name, reason: error.to_string() })
}

/// Settings of methods that every configuration records, null where they are not given. Results of long runs are
/// identified by a hash of the configuration: other settings are recorded where they are not the default.
const ALWAYS_RECORDED: [&str; 7] =
    ["tau_max", "threshold", "top_k", "top_p", "capacity_factor", "gate_dropout", "renormalise"];

impl Serialize for AdapterSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_map(None)?;
        all.serialize_entry("method", &self.method)?;
        all.serialize_entry("num_experts", &self.num_experts)?;
        all.serialize_entry("rank", &self.rank)?;
        all.serialize_entry("alpha", &self.alpha)?;
        all.serialize_entry("dropout", &self.dropout)?;
        let is_default = |name: &str, value: &Value| {
            let setting = self.method.0.setting(name);
            setting.and_then(Setting::default_value).is_some_and(|default| default == *value)
        };
        let others = self.own.iter().filter(|(name, value)| !is_default(name, value));
        let others = others.map(|(name, _)| name.as_str()).filter(|name| !ALWAYS_RECORDED.contains(name));
        for name in ALWAYS_RECORDED.into_iter().chain(others) {
            match self.own.get(name) {
                // The methods' numbers are of 32 bits, which are written in another form.
                Some(Value::Number(number)) if number.is_f64() => {
                    all.serialize_entry(name, &number.as_f64().map(|number| number as f32))?;
                }
                value => all.serialize_entry(name, &value)?,
            }
        }
        all.serialize_entry("targets", &self.targets)?;
        all.end()
    }
}
