//! A frozen linear layer with an optional adapter.

use crate::{Adapter, AdapterConfig, ForwardContext, RowGroup};
use adamole_kernels::{linear, linear_gradient, linear_with_update, quantized_linear, quantized_linear_with_update};
use burn::{
    module::{Module, Param, ParamId},
    tensor::{DType, Tensor},
};

/// `y = x W^T (+ bias) (+ adapter(x))` with W and bias frozen: no gradient is computed or stored for them.
///
/// W is of any float type, or quantised by Burn; what is computed is of the input's type, and the adapter float32.
#[derive(Module, Debug)]
pub struct AdaptedLinear {
    /// `[d_out, d_in]`, the layout of Hugging Face files.
    pub weight: Param<Tensor<2>>,
    /// `[d_out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Present once [`AdaptedLinear::adapt`] was called.
    pub adapter: Option<Adapter>,
}

impl AdaptedLinear {
    /// Wraps frozen weights, `weight` of shape `[d_out, d_in]` and `bias` of shape `[d_out]`.
    pub fn frozen(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        Self { weight: frozen(weight), bias: bias.map(frozen), adapter: None }
    }

    /// Puts a fresh adapter on the layer, replacing any other; see [`Adapter::new`]. What the method starts from the frozen
    /// weights is computed from them.
    pub fn adapt(&mut self, config: AdapterConfig, seed: &[u64]) {
        let start = config.method.start(&config, &self.weight.val());
        self.adapt_for_values(config, seed);
        for (name, values) in start {
            self.adapter.iter_mut().for_each(|adapter| adapter.set(name, values.clone()));
        }
    }

    /// [`AdaptedLinear::adapt`] for an adapter that gets its values from elsewhere: nothing is computed from the frozen
    /// weights.
    pub fn adapt_for_values(&mut self, config: AdapterConfig, seed: &[u64]) {
        let [d_out, d_in] = self.weight.val().dims();
        self.adapter = Some(Adapter::new(config, d_in, d_out, seed, &self.weight.val().device()));
    }

    /// `[T, d_in]` to `[T, d_out]`.
    pub fn forward(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        match context.enter_linear() {
            Some((number, groups)) => self.with_groups(x, number, groups),
            None => self.with_adapter(x, self.adapter.as_ref().map(|adapter| (adapter, context))),
        }
    }

    fn with_adapter(&self, x: Tensor<2>, adapter: Option<(&Adapter, &mut ForwardContext)>) -> Tensor<2> {
        match adapter {
            None => self.unadapted(x),
            Some((adapter, context)) => {
                let inner = adapter.inner(x.clone(), context);
                self.updated(x, inner, adapter.outer())
            }
        }
    }

    /// One product with the frozen weights for all rows, to which each group adds the update of its adapter.
    fn with_groups(&self, x: Tensor<2>, number: usize, groups: &mut [RowGroup]) -> Tensor<2> {
        if let [group] = groups {
            return self.with_adapter(x, group.on_linear(number));
        }
        let (mut y, mut start) = (self.unadapted(x.clone()), 0);
        let [_, d_out] = y.dims();
        for group in groups {
            let rows = start..start + group.rows();
            start = rows.end;
            if let Some((adapter, context)) = group.on_linear(number) {
                let update = adapter.forward(x.clone().narrow(0, rows.start, rows.len()), context);
                let frozen = y.clone().narrow(0, rows.start, rows.len());
                let sum = (frozen.cast(update.dtype()) + update).cast(y.dtype());
                y = y.slice_assign([rows, 0..d_out], sum);
            }
        }
        y
    }

    /// The frozen layer alone, `[T, d_in]` to `[T, d_out]`.
    pub(crate) fn unadapted(&self, x: Tensor<2>) -> Tensor<2> {
        let weight = self.weight.val();
        let y = if is_quantized(&weight) { quantized_linear(x, weight) } else { linear(x, weight) };
        self.biased(y)
    }

    /// The frozen layer and `inner outer^T`: `[T, d_in]`, `[T, K]` and `[d_out, K]` to `[T, d_out]`.
    pub(crate) fn updated(&self, x: Tensor<2>, inner: Tensor<2>, outer: Tensor<2>) -> Tensor<2> {
        let weight = self.weight.val();
        let with_update = if is_quantized(&weight) { quantized_linear_with_update } else { linear_with_update };
        self.biased(with_update(x, weight, inner, outer))
    }

    fn biased(&self, y: Tensor<2>) -> Tensor<2> {
        match &self.bias {
            None => y,
            Some(bias) => y + bias.val().unsqueeze::<2>(),
        }
    }

    /// The gradient of the input of the frozen weights where that of their output is `d`, `[T, d_out]` to `[T, d_in]`, on
    /// tensors without autodiff.
    pub fn input_gradient(&self, d: Tensor<2>) -> Tensor<2> {
        let weight = self.weight.val();
        let weight = if weight.is_autodiff() { weight.inner() } else { weight };
        match is_quantized(&weight) {
            true => {
                let dtype = d.dtype();
                d.matmul(weight.dequantize().cast(dtype))
            }
            false => linear_gradient(d, weight),
        }
    }
}

/// Frozen weights of any type as float32, row by row.
pub(crate) fn plain_values(weight: &Tensor<2>) -> Vec<f32> {
    let weight = if weight.is_autodiff() { weight.clone().inner() } else { weight.clone() };
    let weight = if is_quantized(&weight) { weight.dequantize() } else { weight };
    weight.into_data().iter::<f32>().collect()
}

fn is_quantized(weight: &Tensor<2>) -> bool {
    matches!(weight.dtype(), DType::QFloat(_))
}

fn frozen<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), value).set_require_grad(false)
}
