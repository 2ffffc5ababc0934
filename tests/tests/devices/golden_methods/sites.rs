//! The adapted linears of a case: one, or several on the same input.

use super::compare::{Largest, equals, gradient};
use adamole::core::{
    AdaptedLinear, Adapter, AdapterConfig, ForwardContext, ParameterSpec, RoutingDetail, Rows, SharedParameters,
    ValidRows,
    router::{RouterInput, Routing},
};
use adamole::llama::adapter_gradients;
use adamole_tests::{Case, device};
use burn::{
    optim::GradientsParams,
    tensor::{Device, Gradients, Tensor},
};
use std::collections::BTreeMap;

/// An auxiliary loss of a case: its name, and its value for the routing of a linear.
pub(super) type Term<'a> = (&'static str, &'a dyn Fn(&Routing, &Rows) -> Tensor<1>);

/// The linears of a case.
pub(super) struct Sites<'a> {
    pub(super) case: &'a Case,
    pub(super) device: Device,
    /// The prefix of a linear's parameters, the ending of its outputs, and the linear.
    pub(super) linears: Vec<(String, String, AdaptedLinear)>,
}

/// The names of a parameter in a case, one for each key in files.
pub(super) fn names(spec: &ParameterSpec) -> Vec<String> {
    let name = match spec.name {
        "a" => "lora_A{}.weight",
        "b" => "lora_B{}.weight",
        "gate" => "lora_gating.weight",
        "cores" => "lora_cores{}",
        other => other,
    };
    match spec.experts {
        None => vec![name.replace("{}", "")],
        Some((experts, _)) => (0..experts).map(|expert| name.replace("{}", &format!(".{expert}"))).collect(),
    }
}

/// A recorded tensor `[2, L, d]` as rows.
pub(super) fn rows_of(case: &Case, key: &str, device: &Device) -> Tensor<2> {
    let tensor = case.tensor::<3>(key, device);
    let [batch, length, width] = tensor.dims();
    tensor.reshape([batch * length, width])
}

/// The frozen linear whose parameters have this prefix.
pub(super) fn frozen(case: &Case, prefix: &str, device: &Device) -> AdaptedLinear {
    let [weight, bias] = ["weight", "bias"].map(|name| format!("param.{prefix}base_layer.{name}"));
    let bias = case.tensors.shape(&bias).map(|_| case.tensor(&bias, device));
    AdaptedLinear::frozen(case.tensor(&weight, device), bias)
}

impl<'a> Sites<'a> {
    pub(super) fn of(case: &'a Case, config: &AdapterConfig) -> Self {
        let device = device().autodiff();
        let count = case.json["sites"].as_u64();
        let names = match count {
            None => vec![(String::new(), String::new())],
            Some(count) => (0..count).map(|site| (format!("site{site}."), format!(".site{site}"))).collect(),
        };
        let linears = names.into_iter().map(|(prefix, ending)| {
            let mut linear = frozen(case, &prefix, &device);
            linear.adapt(config.clone(), &[0]);
            let adapter = linear.adapter.as_mut().unwrap();
            fill(adapter, case, &prefix, &device);
            check_keys(adapter, case);
            (prefix, ending, linear)
        });
        let mut linears: Vec<(String, String, AdaptedLinear)> = linears.collect();
        let mut first = SharedParameters::default();
        linears.iter_mut().filter_map(|(.., linear)| linear.adapter.as_mut()).for_each(|it| it.tie(&mut first));
        Self { linears, case, device: device.clone() }
    }

    pub(super) fn rows(&self) -> Rows {
        let [batch, length] = [0, 1].map(|dim| self.case.tensors.shape("x").unwrap()[dim]);
        let mask = self.case.tensors.shape("attention_mask").map(|_| self.case.integers("attention_mask"));
        let valid = mask.map(|mask| {
            let count = mask.iter().filter(|token| **token == 1).count();
            let mask: Vec<f32> = mask.iter().map(|token| *token as f32).collect();
            ValidRows { mask: Tensor::<1>::from_floats(&mask[..], &self.device).reshape([batch * length, 1]), count }
        });
        Rows::new(batch * length, batch, valid)
    }

    pub(super) fn x(&self) -> Tensor<2> {
        rows_of(self.case, "x", &self.device).require_grad()
    }

    /// A pass over all linears: the task loss, and each linear's output.
    fn task(&self, x: &Tensor<2>, context: &mut ForwardContext) -> (Tensor<1>, Vec<Tensor<2>>) {
        context.set_rows(self.rows());
        let outputs: Vec<_> = self.linears.iter().map(|(.., linear)| linear.forward(x.clone(), context)).collect();
        let losses = self.linears.iter().zip(&outputs).map(|((_, ending, _), y)| {
            (y.clone() * rows_of(self.case, &format!("upstream{ending}"), &self.device)).sum()
        });
        (losses.reduce(|sum, loss| sum + loss).unwrap(), outputs)
    }

    /// The decision of a linear's router, with its gradient.
    pub(super) fn routing(&self, linear: &AdaptedLinear, x: &Tensor<2>) -> Option<Routing> {
        let adapter = linear.adapter.as_ref().unwrap();
        let router = adapter.config().method.router()?;
        let logits = x.clone().matmul(adapter.matrix("gate").transpose());
        Some(router.route(&RouterInput { x, logits, adapter, gate_mask: None, rows: &self.rows() }))
    }

    /// Compares outputs, routing and the gradients of task loss and total loss, in which `coefficient` multiplies the
    /// auxiliary loss.
    pub(super) fn check(&self, coefficient: f64) {
        let (case, mut largest) = (self.case, Largest::default());
        let x = self.x();
        let (task, outputs) = self.task(&x, &mut ForwardContext::evaluation());
        for ((_, ending, _), y) in self.linears.iter().zip(outputs) {
            largest.y = largest.y.max(equals(case, &format!("y{ending}"), y));
        }
        self.gradients("grad_task", task.backward(), &x, &mut largest);

        let mut context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
        let x = self.x();
        let (task, _) = self.task(&x, &mut context);
        let total = context.auxiliary_loss().unwrap() * coefficient + task;
        if case.tensors.names().iter().any(|name| name.starts_with("grad_total.")) {
            self.gradients("grad_total", total.backward(), &x, &mut largest);
        }
        for (layer, (_, ending, _)) in context.into_layers().into_iter().zip(&self.linears) {
            let routing = layer.decision.unwrap();
            largest.weights = largest.weights.max(equals(case, &format!("weights{ending}"), routing.weights));
            for (key, value) in [("selected", routing.active), ("probs", routing.scores.probabilities())] {
                let key = format!("{key}{ending}");
                if case.tensors.shape(&key).is_some() {
                    equals(case, &key, value);
                }
            }
        }
    }

    /// Compares the auxiliary losses of the case, unweighted, each a mean over the linears.
    pub(super) fn check_terms(&self, terms: &[Term<'_>]) {
        let (case, mut largest) = (self.case, Largest::default());
        for (name, term) in terms {
            let x = self.x();
            let losses = self.linears.iter().map(|(.., linear)| term(&self.routing(linear, &x).unwrap(), &self.rows()));
            let loss = losses.reduce(|sum, loss| sum + loss).unwrap() / self.linears.len() as f32;
            let ending = if name.is_empty() { String::new() } else { format!("_{name}") };
            let expected = [case.number(&format!("/aux_loss{ending}")) as f32];
            super::compare::close(name, &adamole_tests::values(loss.clone().into_data()), &expected, 1e-6, 5e-5);
            self.gradients(&format!("grad_aux{ending}"), loss.backward(), &x, &mut largest);
        }
    }

    /// Compares every recorded gradient of this kind. Those that the authors' code does not have are absent or zero.
    pub(super) fn gradients(&self, kind: &str, gradients: Gradients, x: &Tensor<2>, largest: &mut Largest) {
        let mut ours = BTreeMap::new();
        ours.extend(x.grad(&gradients).map(|gradient| ("x".to_owned(), gradient.into_data())));
        let modules: Vec<AdaptedLinear> = self.linears.iter().map(|(.., linear)| linear.clone()).collect();
        let gradients = GradientsParams::from_grads(gradients, &modules);
        let adapters = self.linears.iter().filter_map(|(prefix, _, linear)| Some((prefix, linear.adapter.as_ref()?)));
        for (prefix, adapter) in adapters {
            let names = adapter.parameters().flat_map(|(spec, _)| {
                let keys = spec.keys().into_iter().map(|(key, _)| key);
                keys.zip(names(spec)).map(|(key, name)| (key, prefixed(prefix, &name)))
            });
            let names: BTreeMap<String, String> = names.collect();
            for (key, data) in adapter_gradients(adapter, &gradients) {
                ours.insert(names[&key].clone(), data);
            }
        }
        let recorded = self.case.tensors.names();
        for (key, name) in recorded.iter().filter_map(|key| Some((key, key.strip_prefix(&format!("{kind}."))?))) {
            let found = ours.remove(name).unwrap_or_else(|| panic!("no {key}"));
            largest.gradients = largest.gradients.max(gradient(self.case, key, found));
        }
        for (name, data) in ours {
            let is_zero = adamole_tests::values(data).iter().all(|value| *value == 0.0);
            assert!(is_zero, "{kind}.{name} is not zero");
        }
    }
}

/// Compares the keys of adapter files with those of the authors, where the case has them.
fn check_keys(adapter: &Adapter, case: &Case) {
    let Some(patterns) = case.json["author_names"].as_object().filter(|_| case.json["method"] != "remole") else {
        return;
    };
    for (spec, _) in adapter.parameters().filter(|(spec, _)| !is_ours(spec)) {
        for ((key, _), name) in spec.keys().into_iter().zip(names(spec)) {
            let theirs = patterns.iter().find_map(|(ours, theirs)| authors_key(ours, theirs.as_str()?, &name));
            let theirs = theirs.map(|key| key.replace("{d_in}", &adapter.a().dims()[1].to_string()));
            assert_eq!(Some(key), theirs, "{name}");
        }
    }
}

/// Whether the authors' code has no such parameter.
fn is_ours(spec: &ParameterSpec) -> bool {
    spec.name.starts_with("initial_")
}

/// The authors' key of a parameter where its name is of this pattern: `i` and `j` stand for numbers, `*` for the rest.
fn authors_key(pattern: &str, theirs: &str, name: &str) -> Option<String> {
    let (pattern, name): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), name.split('.').collect());
    let mut key = theirs.split(' ').next()?.replace(".default", "");
    if pattern.len() != name.len() {
        return None;
    }
    for (pattern, name) in pattern.into_iter().zip(name) {
        match pattern {
            "i" | "j" => key = key.replace(&format!("{{{pattern}}}"), name),
            "*" => key = key.replace('*', name),
            same if same == name => {}
            _ => return None,
        }
    }
    Some(key)
}

/// The name of a parameter of the linear with this prefix: those that all share have none, and neither has the gate of a
/// block.
fn prefixed(prefix: &str, name: &str) -> String {
    let is_of_block = prefix.ends_with("_proj.") && name == "lora_gating.weight";
    if is_of_block || name.starts_with("sparsity.") { name.to_owned() } else { format!("{prefix}{name}") }
}

/// Replaces an adapter's values by those of the case.
pub(super) fn fill(adapter: &mut Adapter, case: &Case, prefix: &str, device: &Device) {
    let specs = adapter.parameters().map(|(spec, _)| spec).filter(|spec| !is_ours(spec)).cloned();
    for spec in specs.collect::<Vec<ParameterSpec>>() {
        let keys: Vec<String> = names(&spec).iter().map(|name| format!("param.{}", prefixed(prefix, name))).collect();
        adapter.set(spec.name, case.parameter(&spec, &keys, device));
    }
}
