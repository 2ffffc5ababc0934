//! A frozen linear layer with an optional adapter.

use crate::{Adapter, AdapterConfig, ForwardContext, RowGroup};
use adamole_kernels::{linear, linear_gradient, linear_with_update, quantized_linear, quantized_linear_with_update};
use burn::{
    module::{Module, Param, ParamId},
    tensor::{DType, Tensor},
};

mod convert;

pub use convert::LinearError;

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
    /// Wraps frozen weights, `weight` of shape `[d_out, d_in]` and `bias` of shape `[d_out]`. A [`burn::nn::Linear`], whose
    /// weight is `[d_in, d_out]`, is taken by [`AdaptedLinear::from`].
    ///
    /// # Panics
    /// The bias is that of a weight of another shape; [`AdaptedLinear::try_frozen`] says so in an error.
    pub fn frozen(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        Self::try_frozen(weight, bias).unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`AdaptedLinear::frozen`] for weights whose shapes are not known to agree.
    ///
    /// # Errors
    /// The bias has another length than the weight has rows, as where the weight is in Burn's layout, `[d_in, d_out]`. A
    /// square weight, or one without a bias, has no such mark.
    pub fn try_frozen(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Result<Self, LinearError> {
        LinearError::check(&weight, bias.as_ref())?;
        Ok(Self { weight: frozen(weight), bias: bias.map(frozen), adapter: None })
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
    ///
    /// # Panics
    /// The input has another number of columns than the weight, or the context was given the layout of another number of
    /// rows.
    pub fn forward(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        self.check_input(&x);
        match context.enter_linear() {
            Some((number, groups)) => self.with_groups(x, number, groups),
            None => self.with_adapter(x, self.adapter.as_ref().map(|adapter| (adapter, context))),
        }
    }

    /// The same for a batch: `[B, T, d_in]` to `[B, T, d_out]`, or with any dimensions before the last two.
    ///
    /// Where the context has no layout of rows ([`ForwardContext::set_rows`]), each `[T, d_in]` is a sequence of T tokens. A
    /// batch with padding has one: [`Rows::of_token_mask`](crate::Rows::of_token_mask).
    ///
    /// # Panics
    /// As [`AdaptedLinear::forward`], and where the input has a single dimension.
    pub fn forward_batch<const D: usize>(&self, x: Tensor<D>, context: &mut ForwardContext) -> Tensor<D> {
        let mut shape = x.dims();
        let [sequences @ .., length, d_in] = &shape[..] else {
            panic!("the input of an adapted linear has the shape {shape:?}, expected [.., T, d_in]")
        };
        let (sequences, length, d_in) = (sequences.iter().product::<usize>(), *length, *d_in);
        let rows = x.reshape([sequences * length, d_in]);
        let y = context.with_sequences(sequences, |context| self.forward(rows, context));
        shape[D - 1] = y.dims()[1];
        y.reshape(shape)
    }

    /// # Panics
    /// The input has another number of columns than the weight.
    fn check_input(&self, x: &Tensor<2>) {
        let ([_, columns], [d_out, d_in]) = (x.dims(), self.weight.val().dims());
        let hint = match columns == d_out {
            true => "; is it in Burn's layout [d_in, d_out], which AdaptedLinear::from takes as a burn::nn::Linear?",
            false => "",
        };
        assert!(
            columns == d_in,
            "the input of an adapted linear has {columns} columns and its weight [d_out, d_in] is [{d_out}, {d_in}]{hint}"
        );
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
