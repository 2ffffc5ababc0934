//! Chain of LoRA (Xia et al. 2024): train an adapter, fold it into the base, start afresh with another.

use crate::{AdapterLayout, CausalLm, ModelError, merge};
use adamole_core::AdapterConfig;
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// The links of a chain so far. Each is folded into the model that goes on training; together they are one plain LoRA,
/// whose rank is the sum of theirs, on the base that the chain began with.
#[derive(Debug, Clone)]
pub struct ChainOfLora {
    base: CausalLm,
    /// A stacked and B side by side, by linear.
    links: BTreeMap<String, Vec<(Tensor<2>, Tensor<2>)>>,
}

impl ChainOfLora {
    /// A chain that begins with this model's base.
    pub fn new(model: &CausalLm) -> Self {
        let mut base = model.clone();
        base.adapt(&AdapterLayout::default(), 0);
        Self { base, links: BTreeMap::new() }
    }

    /// Links that have ended; every adapted linear has as many.
    fn count(&self) -> usize {
        self.links.values().next().map_or(0, Vec::len)
    }

    /// A and B of the links that have ended: the linear, which of its links, and the two.
    pub fn links(&self) -> impl Iterator<Item = (&str, usize, &Tensor<2>, &Tensor<2>)> {
        let of_linear = |(name, links)| {
            let (name, links): (&String, &Vec<(Tensor<2>, Tensor<2>)>) = (name, links);
            links.iter().enumerate().map(move |(index, (a, b))| (name.as_str(), index, a, b))
        };
        self.links.iter().flat_map(of_linear)
    }

    /// Ends a link: folds the model's adapters into its weights and gives it fresh ones.
    ///
    /// # Errors
    /// An adapter is a routed mixture.
    pub fn link(&mut self, model: CausalLm, seed: u64) -> Result<CausalLm, ModelError> {
        let layout = model.layout();
        let links = factors(&model);
        let mut next = merge(model)?;
        for (name, link) in links {
            self.links.entry(name).or_default().push(link);
        }
        // Other values than the link before began with.
        next.adapt(&layout, seed.wrapping_add(self.count() as u64));
        Ok(next)
    }

    /// The layout of the one adapter that so many links amount to, each of which has the layout `link`: the ranks add up,
    /// and the scale alpha / rank stays.
    pub fn whole_layout(link: &AdapterLayout, links: usize) -> AdapterLayout {
        let longer = |config: &AdapterConfig| {
            // The sum of ranks is at least one, since each is.
            let rank = (config.rank.get() * links).try_into().unwrap_or(config.rank);
            AdapterConfig { rank, alpha: config.alpha * links as f32, ..config.clone() }
        };
        link.iter().map(|(name, config)| (name.to_owned(), longer(config))).collect()
    }

    /// The first base with one adapter that does what all links and the model's own adapter do.
    pub fn whole(&self, model: &CausalLm) -> CausalLm {
        if self.count() == 0 {
            return model.clone();
        }
        let mut links = self.links.clone();
        for (name, link) in factors(model) {
            links.entry(name).or_default().push(link);
        }
        let mut whole = self.base.clone();
        whole.adapt(&Self::whole_layout(&model.layout(), self.count() + 1), 0);
        for (name, linear) in whole.linears_mut() {
            if let (Some(adapter), Some(links)) = (&mut linear.adapter, links.remove(&name)) {
                let (a, b): (Vec<_>, Vec<_>) = links.into_iter().unzip();
                adapter.set("a", Tensor::cat(a, 0).into_data());
                adapter.set("b", Tensor::cat(b, 1).into_data());
            }
        }
        whole
    }
}

/// A and B of every adapted linear, without autodiff.
fn factors(model: &CausalLm) -> Vec<(String, (Tensor<2>, Tensor<2>))> {
    let plain = |t: Tensor<2>| if t.is_autodiff() { t.inner() } else { t };
    let linears = model.linears().into_iter();
    linears
        .filter_map(|(name, linear)| {
            let adapter = linear.adapter.as_ref()?;
            Some((name, (plain(adapter.a()), plain(adapter.b()))))
        })
        .collect()
}
