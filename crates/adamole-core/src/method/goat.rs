//! GOAT: top-k experts that start from segments of the frozen weights' singular values (arXiv 2502.16894).

use super::{Method, MethodKind, MethodSettings};
use crate::{
    Adapter, AdapterConfig, AdapterShape, ForwardContext, Initial, NumExperts, ParameterSpec, Rows, Setting,
    SettingError, TopK,
    linear::plain_values,
    router::{Router, RouterInput, Routing, load_balancing_loss, top_k},
    setting::recorded,
    singular::singular_triples,
};
use adamole_kernels::adapter_input;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The k most probable of N experts act, with probabilities that are scaled to sum to 1. Expert i starts from r singular
/// values of the i-th of N segments of the frozen weights' spectrum, and the frozen weights without a share of all experts'
/// starts take the place of the frozen weights:
///
/// ```text
/// y = (W - s/N sum_i B0_i A0_i) x + sum_i w_i s B_i A_i x
/// ```
///
/// W itself stays as it is: A0 and B0, where A and B start, are kept beside them, not trained, and their product is
/// subtracted from the output. So an adapter is whole without another decomposition, also on a base of another precision.
/// The load balancing loss is over all rows, padding included, as in the authors' code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goat {
    /// N.
    pub num_experts: NumExperts,
    /// k.
    pub top_k: TopK,
    /// Which singular values of its segment an expert starts from.
    pub init_type: GoatStart,
    /// eta of the paper's scale `s = sqrt(3 eta d_in / r)`; alpha / r where absent, as in the authors' runs.
    pub eta: Option<f32>,
}

/// Which singular values of its segment an expert of [`Goat`] starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GoatStart {
    /// The r largest.
    #[serde(rename = "goat")]
    Largest,
    /// The r smallest.
    #[serde(rename = "goat_mini")]
    Smallest,
}

/// rho: what the singular values are divided by, besides the scale.
const RHO: f64 = 10.0;

impl Goat {
    const TOP_K: Setting = Setting::new::<usize>("top_k", "Experts that a token activates.", "2").per_layer();
    const INIT_TYPE: Setting = Setting::new::<GoatStart>(
        "init_type",
        "Which singular values of its segment an expert starts from: the largest, or the smallest.",
        "goat",
    );

    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "goat",
        help: "Top-k experts that start from segments of the weights' singular values",
        peft_type: "GOAT",
        settings: &[
            MethodSettings::NUM_EXPERTS,
            Self::TOP_K,
            Self::INIT_TYPE,
            Setting::new::<f32>(
                "eta",
                "The experts' scale is sqrt(3 eta d_in / rank), and alpha is not used.",
                "alpha / rank as the scale",
            ),
        ],
        one_of: &[],
        file_keys: &[],
        file_extensions: &["eta"],
        build: |settings| {
            let eta: Option<f32> = settings.read::<f32, _>("eta")?;
            if let Some(eta) = eta.filter(|eta| !(eta.is_finite() && *eta > 0.0)) {
                return Err(SettingError::invalid("eta", eta, "a number above 0"));
            }
            Ok(Arc::new(Self {
                num_experts: settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?,
                top_k: settings.required::<usize, _>(&Self::TOP_K)?,
                init_type: settings.required::<GoatStart, _>(&Self::INIT_TYPE)?,
                eta,
            }))
        },
    };

    /// The singular values in a segment of the frozen weights' spectrum.
    fn segment(&self, AdapterShape { d_in, d_out, .. }: AdapterShape) -> usize {
        d_in.min(d_out) / self.num_experts()
    }

    /// What is subtracted from the frozen weights, `[d_out, d_in]`.
    pub fn subtracted(&self, adapter: &Adapter) -> Tensor<2> {
        let product = adapter.matrix("initial_b").matmul(adapter.matrix("initial_a"));
        product * (adapter.scale() / self.num_experts() as f32)
    }
}

impl Method for Goat {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new()
            .with("num_experts", self.num_experts.get())
            .with("top_k", self.top_k.get())
            .with("init_type", recorded(&self.init_type))
            .with("eta", self.eta)
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    /// A, B and gate under the keys of the authors' files, which leave out A0 and B0.
    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        let experts = self.num_experts();
        let zeros = |spec: ParameterSpec| ParameterSpec { initial: Initial::Zeros, ..spec };
        let mut parameters: Vec<_> = ParameterSpec::experts(shape, experts).into_iter().map(zeros).collect();
        let kept = |(spec, name, key): (&ParameterSpec, _, &str)| ParameterSpec {
            name,
            key: key.into(),
            trained: false,
            ..spec.clone()
        };
        let [a, b] = [&parameters[0], &parameters[1]];
        let initial = [(a, "initial_a", "lora_initial_A.{}.weight"), (b, "initial_b", "lora_initial_B.{}.weight")];
        let initial = initial.map(kept);
        parameters.push(ParameterSpec::gate(shape, experts));
        parameters.extend(initial);
        parameters
    }

    fn unfit(&self, shape: AdapterShape) -> Option<String> {
        let most = self.segment(shape);
        (shape.rank > most).then(|| match most {
            0 => format!("fewer experts than {}, the singular values of the linear", shape.d_in.min(shape.d_out)),
            _ => format!("at most {most}, the singular values of a linear's weights by num_experts"),
        })
    }

    fn start(&self, config: &AdapterConfig, weight: &Tensor<2>) -> Vec<(&'static str, TensorData)> {
        let [d_out, d_in] = weight.dims();
        let (experts, rank) = (self.num_experts(), config.rank.get());
        let segment = self.segment(AdapterShape { rank, d_in, d_out });
        let first = match self.init_type {
            GoatStart::Largest => 0,
            GoatStart::Smallest => segment.saturating_sub(rank),
        };
        let places = (0..experts).flat_map(|expert| (0..rank).map(move |at| expert * segment + first + at));
        let places = places.map(|place| place.min(d_in.min(d_out) - 1));
        let triples = singular_triples(&plain_values(weight), [d_out, d_in], places);

        let columns = triples.len();
        let (mut a, mut b) = (Vec::with_capacity(columns * d_in), vec![0.0; d_out * columns]);
        for (column, triple) in triples.iter().enumerate() {
            let root = (triple.value / (RHO * f64::from(config.scale_on(d_in)))).sqrt();
            a.extend(triple.right.iter().map(|it| (it * root) as f32));
            for (row, it) in triple.left.iter().enumerate() {
                b[row * columns + column] = (it * root) as f32;
            }
        }
        let (a, b) = (TensorData::new(a, [columns, d_in]), TensorData::new(b, [d_out, columns]));
        vec![("a", a.clone()), ("b", b.clone()), ("initial_a", a), ("initial_b", b)]
    }

    /// The experts, and beside them what is subtracted: `[T, 2 N r]`.
    fn inner(&self, adapter: &Adapter, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let subtracted = adapter_input(x.clone(), adapter.matrix("initial_a"), None);
        let share = adapter.scale() / self.num_experts() as f32;
        Tensor::cat(vec![adapter.weighted_experts(x, context), subtracted * -share], 1)
    }

    fn outer(&self, adapter: &Adapter) -> Tensor<2> {
        Tensor::cat(vec![adapter.b(), adapter.matrix("initial_b")], 1)
    }

    fn fixed_scale(&self, rank: usize, d_in: usize) -> Option<f64> {
        self.eta.map(|eta| (3.0 * f64::from(eta) * d_in as f64 / rank as f64).sqrt())
    }

    fn kept_for_a_token(&self, AdapterShape { rank, .. }: AdapterShape) -> usize {
        6 * self.num_experts() * rank + 10 * self.num_experts()
    }
}

impl Router for Goat {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.scores();
        let probabilities = scores.probabilities();
        Routing::proportional(scores, top_k(probabilities, self.top_k.get()))
    }

    fn auxiliary_loss(&self, routing: &Routing, _rows: &Rows) -> Option<Tensor<1>> {
        let [requested, scores] = [&routing.requested, &routing.balance].map(|it| it.clone().sum_dim(0));
        Some(load_balancing_loss(requested, scores, routing.balance.dims()[0] as f32))
    }
}
