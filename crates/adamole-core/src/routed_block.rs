//! A gated feed-forward block whose experts are whole blocks, with one router for all of its linears.

use crate::{AdaptedLinear, Adapter, ForwardContext, RowGroup, router::top_choices};
use adamole_kernels::weighted_experts;
use burn::tensor::Tensor;

/// The block `D (f(G x) * U x)` with k of N experts for each token, each of which has a low-rank pair of its own on the
/// linears that are adapted:
///
/// ```text
/// h_i = f(G x + s Bg_i Ag_i x) * (U x + s Bu_i Au_i x)
/// y   = sum_i w_i (D h_i + s Bd_i Ad_i h_i)
/// ```
///
/// The frozen products are computed once, that of D for the weighted sum of the h_i, since the weights sum to 1. Of the h_i
/// only those of a token's k experts are formed: the c-th choice of all tokens is one pass in which A x of the other experts
/// is masked.
#[derive(Debug)]
pub struct RoutedBlock<'a> {
    gate: Part<'a>,
    up: Part<'a>,
    down: Part<'a>,
    router: &'a Adapter,
    choices: usize,
}

/// A linear of a block, and the adapter that is used with it.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    linear: &'a AdaptedLinear,
    adapter: Option<&'a Adapter>,
}

/// One of the k choices of every token.
struct Choice {
    /// 1 for the expert, `[T, N]`; no gradient.
    expert: Tensor<2>,
    /// Its weight, `[T, 1]`.
    weight: Tensor<2>,
}

/// The weighted sum of the hidden activations, and what the experts add to the last product.
struct Mixed {
    /// `[T, intermediate]`.
    hidden: Tensor<2>,
    /// `[T, N r]`, before B; `None` where the last linear is not adapted.
    inner: Option<Tensor<2>>,
}

impl<'a> RoutedBlock<'a> {
    /// The block of these linears; `None` if they have no router for whole blocks.
    pub fn of(gate: &'a AdaptedLinear, up: &'a AdaptedLinear, down: &'a AdaptedLinear) -> Option<Self> {
        Self::with([gate, up, down].map(|linear| Part { linear, adapter: linear.adapter.as_ref() }))
    }

    fn with(parts: [Part<'a>; 3]) -> Option<Self> {
        let adapters = parts.into_iter().filter_map(|part| part.adapter);
        let mut routers = adapters.filter(|adapter| adapter.config().method.router().is_some());
        let (router, choices) = routers.find_map(|it| Some((it, it.config().method.block_choices()?)))?;
        let [gate, up, down] = parts;
        Some(Self { gate, up, down, router, choices })
    }

    /// What a feed-forward block does, `[T, hidden]` to `[T, hidden]`, where groups of rows have adapters of their own
    /// ([`ForwardContext::for_groups`]): the groups whose experts are whole blocks are routed apart, and the rest is that of
    /// `ordinary`, which goes through `linears` one by one: gate, up and down. Without such groups all is that of `ordinary`.
    pub fn of_groups(
        linears: [&AdaptedLinear; 3],
        x: Tensor<2>,
        gated: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
        ordinary: impl FnOnce(Tensor<2>, &mut ForwardContext) -> Tensor<2>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        let Some((first, all)) = context.routed_blocks() else { return ordinary(x, context) };
        let y = match all {
            // Of which nothing is used.
            true => x.clone(),
            false => ordinary(x.clone(), context),
        };
        let mut start = 0;
        let of_group = |group: &mut RowGroup| {
            let (begin, rows) = (start, group.rows());
            start += rows;
            let (adapters, context) = group.on_block(first);
            let parts = std::array::from_fn(|i| Part { linear: linears[i], adapter: adapters[i] });
            match RoutedBlock::with(parts) {
                Some(block) => block.forward(x.clone().narrow(0, begin, rows), &gated, context).cast(x.dtype()),
                None => y.clone().narrow(0, begin, rows),
            }
        };
        Tensor::cat(context.groups_before(first + linears.len()).iter_mut().map(of_group).collect(), 0)
    }

    /// `[T, hidden]` to `[T, hidden]`; `gated` is `f(gate) * up`.
    pub fn forward(
        &self,
        x: Tensor<2>,
        gated: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        let Mixed { hidden, inner } = self.mixed(x, gated, context);
        match (inner, self.down.adapter) {
            (Some(inner), Some(adapter)) => self.down.linear.updated(hidden, inner, adapter.b()),
            _ => self.down.linear.unadapted(hidden),
        }
    }

    /// What the last linear takes where it is not adapted: `[T, hidden]` to `[T, intermediate]`.
    pub fn gated(
        &self,
        x: Tensor<2>,
        gated: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        self.mixed(x, gated, context).hidden
    }

    fn mixed(
        &self,
        x: Tensor<2>,
        gated: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
        context: &mut ForwardContext,
    ) -> Mixed {
        let choices = self.choose(&x, context);
        let gates = of_choices(self.gate, &x, &choices, context);
        let ups = of_choices(self.up, &x, &choices, context);
        let last = self.down.adapter.map(|adapter| (adapter, context.enter_adapter()));
        let mut mixed: Option<Mixed> = None;
        for ((gate, up), choice) in gates.into_iter().zip(ups).zip(choices) {
            let hidden = gated(gate, up);
            let inner = last.map(|(adapter, number)| {
                let inner = adapter.hidden(&hidden, number, context);
                weighted_experts(inner, choice.expert * choice.weight.clone(), adapter.scale())
            });
            let hidden = hidden.clone() * choice.weight.cast(hidden.dtype());
            mixed = Some(match mixed {
                None => Mixed { hidden, inner },
                Some(sum) => {
                    Mixed { hidden: sum.hidden + hidden, inner: sum.inner.zip(inner).map(|(sum, inner)| sum + inner) }
                }
            });
        }
        mixed.unwrap_or_else(|| unreachable!("a token activates at least one expert"))
    }

    /// The choices of every token, the most probable first.
    fn choose(&self, x: &Tensor<2>, context: &mut ForwardContext) -> Vec<Choice> {
        let number = context.enter_adapter();
        let weights = self.router.route(x, number, context);
        let weights = weights.unwrap_or_else(|| unreachable!("a block is routed by an adapter with a router"));
        let chosen = top_choices(weights.clone(), self.choices).into_iter();
        chosen.map(|expert| Choice { weight: (weights.clone() * expert.clone()).sum_dim(1), expert }).collect()
    }
}

/// The result of a linear for each choice, `[T, d_in]` to `[T, d_out]`.
fn of_choices(
    Part { linear, adapter }: Part<'_>,
    x: &Tensor<2>,
    choices: &[Choice],
    context: &mut ForwardContext,
) -> Vec<Tensor<2>> {
    let frozen = linear.unadapted(x.clone());
    let Some(adapter) = adapter else { return vec![frozen; choices.len()] };
    let number = context.enter_adapter();
    let hidden = adapter.hidden(x, number, context);
    let of_choice = |choice: &Choice| {
        let inner = weighted_experts(hidden.clone(), choice.expert.clone(), adapter.scale());
        frozen.clone() + inner.matmul(adapter.b().transpose()).cast(frozen.dtype())
    };
    choices.iter().map(of_choice).collect()
}
