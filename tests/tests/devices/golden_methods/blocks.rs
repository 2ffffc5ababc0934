//! Feed-forward blocks with one router.

use super::{
    compare::{Largest, close, equals, gradient},
    methods::{config, integer},
    sites::{Sites, fill, frozen, rows_of},
};
use adamole::core::{
    AdaptedLinear, ForwardContext, Method, MixLora, MixLoraPart, RoutedBlock, RoutingDetail,
    router::{JointLoss, Router, RouterInput, Routing},
};
use adamole_tests::{Case, device, values};
use burn::{
    optim::GradientsParams,
    tensor::{
        Tensor,
        activation::{gelu, gelu_approximate, relu, silu},
    },
};

const LINEARS: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// Compares a block with everything that is recorded of it.
pub(super) fn mixlora(case: &Case) {
    let method = MixLora {
        num_experts: integer(case, "/num_experts").try_into().unwrap(),
        top_k: integer(case, "/top_k").try_into().unwrap(),
        part: MixLoraPart::Block { has_gate: true, is_last: false },
    };
    let sites = block(case, method);
    let coefficient = case.number("/aux_coefficient");
    let mut largest = Largest::default();

    let x = sites.x();
    let (task, y) = pass(&sites, &x, &mut ForwardContext::evaluation());
    largest.y = without_tied(case, "y", y);
    sites.gradients("grad_task", task.backward(), &x, &mut largest);

    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
    let x = sites.x();
    let (task, _) = pass(&sites, &x, &mut context);
    let total = context.auxiliary_loss().unwrap() * coefficient + task;
    sites.gradients("grad_total", total.backward(), &x, &mut largest);

    let layers = context.into_layers();
    assert_eq!(layers.len(), 1, "a block is one routed layer");
    let decision = layers.into_iter().next().unwrap().decision.unwrap();
    equals(case, "probs", decision.scores.probabilities());
    largest.weights = without_tied(case, "weights", decision.weights);
    without_tied(case, "selected", decision.active);
    loss(case, &sites, method, &mut largest);
}

/// The linears of the case, those that are no targets without an adapter.
fn block(case: &Case, method: MixLora) -> Sites<'_> {
    let device = device().autodiff();
    let targets: Vec<&str> = case.json["targets"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let linears = LINEARS.into_iter().map(|target| {
        let prefix = format!("{target}.");
        let mut linear = frozen(case, &prefix, &device);
        if targets.contains(&target) {
            let mut config = config(case, method);
            config.method = method.on(target, &targets).unwrap().unwrap();
            linear.adapt(config, &[0]);
            let adapter = linear.adapter.as_mut().unwrap();
            fill(adapter, case, &prefix, &device);
            let keys: Vec<String> =
                adapter.parameters().flat_map(|(spec, _)| spec.keys()).map(|(key, _)| key).collect();
            assert!(keys.contains(&"experts.1.lora_B.weight".to_owned()), "the authors' keys: {keys:?}");
        }
        (prefix, String::new(), linear)
    });
    Sites { linears: linears.collect(), case, device: device.clone() }
}

/// The activation that a case names as transformers does.
fn activation(case: &Case) -> fn(Tensor<2>) -> Tensor<2> {
    match case.json["activation"].as_str() {
        Some("silu") => silu,
        Some("gelu") => gelu,
        Some("gelu_new" | "gelu_pytorch_tanh") => gelu_approximate,
        Some("relu") => relu,
        other => panic!("the activation {other:?} is not known"),
    }
}

/// The task loss and the output.
fn pass(sites: &Sites<'_>, x: &Tensor<2>, context: &mut ForwardContext) -> (Tensor<1>, Tensor<2>) {
    context.set_rows(sites.rows());
    let [gate, up, down] = [0, 1, 2].map(|place| &sites.linears[place].2);
    let block = RoutedBlock::of(gate, up, down).unwrap();
    let activation = activation(sites.case);
    let y = block.forward(x.clone(), |gate, up| activation(gate) * up, context);
    ((y.clone() * rows_of(sites.case, "upstream", &sites.device)).sum(), y)
}

/// Compares all rows but those in which torch chose another one of equals, whose upstream is 0.
fn without_tied(case: &Case, key: &str, actual: Tensor<2>) -> f32 {
    let tied: Vec<usize> =
        case.json["rows_tied_otherwise"].as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize).collect();
    let [_, width] = actual.dims();
    let expected = match key {
        "selected" => case.integers(key).iter().map(|value| *value as f32).collect(),
        _ => case.floats(key),
    };
    let kept = |all: &[f32]| -> Vec<f32> {
        let rows = all.chunks(width).enumerate().filter(|(row, _)| !tied.contains(row));
        rows.flat_map(|(_, values)| values.to_vec()).collect()
    };
    close(key, &kept(&values(actual.into_data())), &kept(&expected), 5e-5, 0.0)
}

/// Compares the auxiliary loss with its gradients, and that of two layers together.
fn loss(case: &Case, sites: &Sites<'_>, method: MixLora, largest: &mut Largest) {
    let (x, rows) = (sites.x(), sites.rows());
    let router = sites.linears.iter().filter_map(|(.., linear)| linear.adapter.as_ref());
    let adapter = router.into_iter().find(|adapter| adapter.config().method.router().is_some()).unwrap();
    let route = |logits: Tensor<2>| -> Routing {
        method.route(&RouterInput { x: &x, logits, adapter, gate_mask: None, rows: &rows })
    };
    let logits = x.clone().matmul(adapter.matrix("gate").transpose());
    equals(case, "gate_logits", logits.clone());
    let routing = route(logits);
    let value = method.auxiliary_loss(&routing, &rows).unwrap();
    close("loss", &values(value.clone().into_data()), &[case.number("/aux_loss") as f32], 1e-6, 5e-5);
    let gradients = value.backward();
    if case.tensors.shape("grad_aux.x").is_some() {
        largest.gradients =
            largest.gradients.max(gradient(case, "grad_aux.x", x.grad(&gradients).unwrap().into_data()));
    }
    let gate = adapter.parameters().find(|(spec, _)| spec.name == "gate").unwrap().1.id();
    let modules: Vec<AdaptedLinear> = sites.linears.iter().map(|(.., linear)| linear.clone()).collect();
    let gradients = GradientsParams::from_grads(gradients, &modules);
    let of_gate = gradients.get::<2>(gate).unwrap().into_data();
    largest.gradients = largest.gradients.max(gradient(case, "grad_aux.lora_gating.weight", of_gate));
    if case.tensors.shape("gate_logits_second_layer").is_some() {
        let second = route(case.tensor::<2>("gate_logits_second_layer", &device().autodiff()));
        let both = method.contribution(&routing, &rows) + method.contribution(&second, &rows);
        let both = values(method.of_sum(both, 2).into_data());
        close("loss of two", &both, &[case.number("/aux_loss_two_layers") as f32], 1e-6, 5e-5);
    }
}
