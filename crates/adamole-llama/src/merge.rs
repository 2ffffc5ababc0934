//! Merging of plain LoRAs into the weights that they adapt, and chains of LoRA.

use crate::{AdapterLayout, CausalLm, ModelError, precision::narrowed};
use adamole_core::AdaptedLinear;
use burn::tensor::{DType, Tensor};
use std::collections::BTreeMap;

/// Merges every adapter into its linear, `W + s B A`. The result has no adapters.
///
/// # Errors
/// An adapter is a routed mixture, whose update depends on the token; or a linear is quantised.
pub fn merge(mut model: CausalLm) -> Result<CausalLm, ModelError> {
    validate(&model)?;
    for (_, linear) in model.linears_mut() {
        if let Some(adapter) = linear.adapter.take() {
            let update: Tensor<2> = adapter.b().matmul(adapter.a()) * adapter.config().scale();
            linear.weight = linear.weight.clone().map(|weight| {
                let update = if weight.is_autodiff() { update.detach() } else { update };
                weight.clone() + narrowed(update, weight.dtype())
            });
        }
    }
    Ok(model)
}

/// Checks that [`merge`] can merge the adapters of `model`.
fn validate(model: &CausalLm) -> Result<(), ModelError> {
    if let Some((linear, ..)) = model.routed().into_iter().next() {
        return Err(ModelError::NotMergeable { linear });
    }
    let quantized = |(_, linear): &(String, &AdaptedLinear)| matches!(linear.weight.val().dtype(), DType::QFloat(_));
    match model.linears().into_iter().find(quantized) {
        Some((linear, _)) => Err(ModelError::Quantized { linear }),
        None => Ok(()),
    }
}

/// A chain of LoRA (Xia et al. 2024): LoRAs trained one after the other. Each finished LoRA is merged into the model, and
/// training continues with a new one. On the base of the chain, all of them are one plain LoRA, whose rank is the sum of
/// their ranks.
#[derive(Debug, Clone)]
pub struct ChainOfLora {
    base: CausalLm,
    /// A `[r, d_in]` and B `[d_out, r]` of each finished LoRA, by linear.
    links: BTreeMap<String, Vec<(Tensor<2>, Tensor<2>)>>,
}

impl ChainOfLora {
    /// An empty chain on the base of `model`.
    pub fn new(model: &CausalLm) -> Self {
        let mut base = model.clone();
        base.adapt_for_values(&AdapterLayout::default());
        Self { base, links: BTreeMap::new() }
    }

    /// Checks that the LoRAs of `model` can be linked, which costs nothing: a training run asks before its first step.
    ///
    /// Merged into weights of fewer bits than float32, a link loses most of a small update. The next one is trained on what is
    /// left, and not on the model that the chain amounts to.
    ///
    /// # Errors
    /// Those of [`merge`], and [`ModelError::WrongType`]: an adapted linear is not float32.
    pub fn validate(model: &CausalLm) -> Result<(), ModelError> {
        validate(model)?;
        let adapted = model.linears().into_iter().filter(|(_, linear)| linear.adapter.is_some());
        match adapted.map(|(name, linear)| (name, linear.weight.val().dtype())).find(|(_, dtype)| *dtype != DType::F32)
        {
            Some((name, dtype)) => Err(ModelError::WrongType {
                name,
                found: format!("{dtype:?}"),
                expected: "float32, since each link of the chain is merged into it".into(),
            }),
            None => Ok(()),
        }
    }

    /// The number of finished LoRAs, the same for every adapted linear.
    fn count(&self) -> usize {
        self.links.values().next().map_or(0, Vec::len)
    }

    /// The finished LoRAs: name of the linear, index in the chain, A and B.
    pub fn links(&self) -> impl Iterator<Item = (&str, usize, &Tensor<2>, &Tensor<2>)> {
        let of_linear = |(name, links)| {
            let (name, links): (&String, &Vec<(Tensor<2>, Tensor<2>)>) = (name, links);
            links.iter().enumerate().map(move |(index, (a, b))| (name.as_str(), index, a, b))
        };
        self.links.iter().flat_map(of_linear)
    }

    /// Finishes the LoRAs of `model`: merges them into its weights and adds new ones.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate).
    pub fn link(&mut self, model: CausalLm, seed: u64) -> Result<CausalLm, ModelError> {
        Self::validate(&model)?;
        let layout = model.layout();
        let links = factors(&model);
        let mut next = merge(model)?;
        for (name, link) in links {
            self.links.entry(name).or_default().push(link);
        }
        // Other initial values than those of the previous LoRAs.
        next.adapt(&layout, seed.wrapping_add(self.count() as u64));
        Ok(next)
    }

    /// The layout of the plain LoRA that is equal to a chain of `links` LoRAs with the layout `link`: the sum of the ranks,
    /// with the same scale.
    pub fn whole_layout(link: &AdapterLayout, links: usize) -> AdapterLayout {
        link.iter().map(|(name, config)| (name.to_owned(), config.widened(links))).collect()
    }

    /// The base of the chain with one plain LoRA, equal to the finished LoRAs and the adapters of `model`.
    pub fn whole(&self, model: &CausalLm) -> CausalLm {
        if self.count() == 0 {
            return model.clone();
        }
        let mut links = self.links.clone();
        for (name, link) in factors(model) {
            links.entry(name).or_default().push(link);
        }
        let mut whole = self.base.clone();
        whole.adapt_for_values(&Self::whole_layout(&model.layout(), self.count() + 1));
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

/// Name, A and B of every adapted linear, without autodiff.
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
