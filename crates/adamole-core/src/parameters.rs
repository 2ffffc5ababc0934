//! The parameters of an adapter, as its method describes them.

use crate::CounterRng;
use burn::{
    module::{Param, ParamId},
    tensor::{Device, Tensor, TensorData},
};
use std::collections::BTreeMap;

/// The sizes that an adapter's parameters follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterShape {
    /// Rank r of one expert.
    pub rank: usize,
    /// Inputs of the linear.
    pub d_in: usize,
    /// Outputs of the linear.
    pub d_out: usize,
}

/// The values that a parameter starts with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// 0.
    Zeros,
    /// One number.
    Constant {
        /// The number.
        value: f32,
    },
    /// Normal around 0.
    Normal {
        /// The standard deviation.
        deviation: f32,
    },
    /// In each row some values of a normal distribution around 0, at random places, among zeros.
    Sparse {
        /// The length of a row.
        row: usize,
        /// The number of values that are not 0.
        nonzeros: usize,
        /// Their standard deviation.
        deviation: f32,
    },
    /// Uniform in `+-bound`.
    Uniform {
        /// The bound.
        bound: f32,
    },
}

/// A parameter of an adapter: its name, its shape, how it starts and how files hold it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// Its name in the module, and in checkpoints of a run: `a`, `gate`, `threshold.bias`.
    pub name: &'static str,
    /// Its key in adapter files, relative to the linear; `{}` stands for an expert's number.
    pub key: String,
    /// One or two dimensions.
    pub shape: Vec<usize>,
    /// The values that it starts with.
    pub initial: Initial,
    /// The experts whose parts files hold apart, and the dimension along which they are stacked here.
    pub experts: Option<(usize, usize)>,
    /// Whether it is trained. What is not trained is kept in files and checkpoints all the same.
    pub trained: bool,
    /// Whether all linears of a model with as many inputs have one, which files hold for each of them.
    pub shared: bool,
}

/// What a shared parameter is known by: the inputs of its linears, its name and its shape.
pub type SharedIdentity = (usize, &'static str, Vec<usize>);

/// The parameters that adapters of one model share; see [`Adapter::tie`](crate::Adapter::tie).
#[derive(Debug, Default)]
pub struct SharedParameters(pub(crate) BTreeMap<SharedIdentity, ParameterValue>);

impl ParameterSpec {
    /// A trained parameter that files hold whole.
    pub fn new(name: &'static str, key: impl Into<String>, shape: impl Into<Vec<usize>>, initial: Initial) -> Self {
        Self { name, key: key.into(), shape: shape.into(), initial, experts: None, trained: true, shared: false }
    }

    /// The same, with a part for each of `experts` experts along dimension `dim`.
    pub fn per_expert(self, experts: usize, dim: usize) -> Self {
        Self { experts: Some((experts, dim)), ..self }
    }

    /// The same, where all linears with as many inputs have one.
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// What it is known by where it is shared, on a linear with so many inputs.
    pub fn identity(&self, d_in: usize) -> SharedIdentity {
        (d_in, self.name, self.shape.clone())
    }

    /// The low-rank pairs of N experts: A `[N r, d_in]` and B `[d_out, N r]`. A is uniform in `+-1/sqrt(d_in)` (Kaiming
    /// uniform with a = sqrt 5, as in the reference implementation; the paper's text says Gaussian), B is 0.
    pub fn experts(AdapterShape { rank, d_in, d_out }: AdapterShape, experts: usize) -> Vec<Self> {
        vec![
            Self::new("a", "lora_A.{}.weight", [experts * rank, d_in], Initial::of_linear(d_in)).per_expert(experts, 0),
            Self::new("b", "lora_B.{}.weight", [d_out, experts * rank], Initial::Zeros).per_expert(experts, 1),
        ]
    }

    /// The gate, `[N, d_in]`, without bias.
    pub fn gate(AdapterShape { d_in, .. }: AdapterShape, experts: usize) -> Self {
        Self::new("gate", "lora_gating.weight", [experts, d_in], Initial::of_linear(d_in))
    }

    /// The low-rank pairs of N experts and their gate.
    pub fn mixture(shape: AdapterShape, experts: usize) -> Vec<Self> {
        let mut parameters = Self::experts(shape, experts);
        parameters.push(Self::gate(shape, experts));
        parameters
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The keys in adapter files, each with the shape of its tensor.
    pub fn keys(&self) -> Vec<(String, Vec<usize>)> {
        let Some((experts, dim)) = self.experts else { return vec![(self.key.clone(), self.shape.clone())] };
        let mut part = self.shape.clone();
        part[dim] /= experts;
        (0..experts).map(|expert| (self.key.replace("{}", &expert.to_string()), part.clone())).collect()
    }
}

impl Initial {
    /// Uniform in `+-1/sqrt(d_in)`, as torch starts a linear.
    pub fn of_linear(d_in: usize) -> Self {
        Self::Uniform { bound: 1.0 / (d_in as f32).sqrt() }
    }

    fn values(self, count: usize, rng: &mut CounterRng) -> Vec<f32> {
        match self {
            Self::Zeros => vec![0.0; count],
            Self::Constant { value } => vec![value; count],
            Self::Normal { deviation } => rng.normal(count, deviation),
            Self::Sparse { row, nonzeros, deviation } => {
                let rows = (0..count / row.max(1)).flat_map(|_| sparse_row(row, nonzeros, deviation, rng));
                rows.collect()
            }
            Self::Uniform { bound } => rng.uniform(count, bound),
        }
    }
}

/// A row of [`Initial::Sparse`].
fn sparse_row(length: usize, nonzeros: usize, deviation: f32, rng: &mut CounterRng) -> Vec<f32> {
    let (mut row, mut places) = (vec![0.0; length], (0..length).collect::<Vec<_>>());
    let nonzeros = nonzeros.min(length);
    for (chosen, value) in rng.normal(nonzeros, deviation).into_iter().enumerate() {
        // The next place of a shuffled list.
        let next = chosen + (rng.next_u64() % (length - chosen) as u64) as usize;
        places.swap(chosen, next);
        row[places[chosen]] = value;
    }
    row
}

/// The values of a parameter.
#[derive(Debug, Clone)]
pub enum ParameterValue {
    /// One dimension.
    Vector(Param<Tensor<1>>),
    /// Two dimensions.
    Matrix(Param<Tensor<2>>),
}

/// Evaluates an expression for the parameter of either rank.
macro_rules! on_either {
    ($value:expr, $param:ident => $result:expr) => {
        match $value {
            $crate::ParameterValue::Vector($param) => $result,
            $crate::ParameterValue::Matrix($param) => $result,
        }
    };
}

/// The parameter that an expression makes of that of either rank.
macro_rules! map_either {
    ($value:expr, $param:ident => $result:expr) => {
        match $value {
            $crate::ParameterValue::Vector($param) => $crate::ParameterValue::Vector($result),
            $crate::ParameterValue::Matrix($param) => $crate::ParameterValue::Matrix($result),
        }
    };
}
pub(crate) use {map_either, on_either};

impl ParameterValue {
    /// Fresh values, the next ones that `rng` gives.
    pub(crate) fn initial(spec: &ParameterSpec, rng: &mut CounterRng, device: &Device) -> Self {
        let values = spec.initial.values(spec.elements(), rng);
        Self::of(TensorData::new(values, spec.shape.clone()), ParamId::new(), spec.trained, device)
    }

    /// A leaf of these values.
    fn of(values: TensorData, id: ParamId, trained: bool, device: &Device) -> Self {
        fn leaf<const D: usize>(values: TensorData, id: ParamId, trained: bool, device: &Device) -> Param<Tensor<D>> {
            Param::initialized(id, Tensor::from_data(values, device)).set_require_grad(trained)
        }
        match values.shape().len() {
            1 => Self::Vector(leaf(values, id, trained, device)),
            _ => Self::Matrix(leaf(values, id, trained, device)),
        }
    }

    /// The identity, which gradients and the optimizer's state go by.
    pub fn id(&self) -> ParamId {
        on_either!(self, param => param.id)
    }

    /// Replaces the values, of the same shape.
    pub(crate) fn set(&mut self, values: TensorData, trained: bool) {
        let device = on_either!(self, param => param.val().device());
        *self = Self::of(values, self.id(), trained, &device);
    }
}
