//! Methods of other crates.

use adamole_core::{
    Adapter, AdapterConfig, AdapterShape, ForwardContext, Initial, Lora, Method, MethodKind, MethodSettings,
    NumExperts, ParameterSpec, RegistrationError, Routed, RoutingDetail, Setting,
    router::{Router, RouterInput, Routing, no_loss},
};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// Every expert with the same weight.
#[derive(Debug, Clone, Copy)]
struct Even;

impl Router for Even {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.scores();
        let everyone = scores.probabilities().ones_like();
        let experts = everyone.dims()[1];
        Routing { weights: everyone.clone() / experts as f32, ..Routing::proportional(scores, everyone) }
    }

    fn auxiliary_loss(&self, routing: &Routing, _: &adamole_core::Rows) -> Option<Tensor<1>> {
        Some(no_loss(routing))
    }
}

/// The same as a method of its own.
#[derive(Debug, Clone, Copy)]
struct Evenly(NumExperts);

impl Evenly {
    const KIND: MethodKind = MethodKind {
        name: "evenly",
        help: "Every expert with the same weight",
        peft_type: "EVENLY",
        settings: &[MethodSettings::NUM_EXPERTS],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| Ok(Arc::new(Self(settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?))),
    };
}

impl Method for Evenly {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new().with("num_experts", self.0.get())
    }

    fn num_experts(&self) -> usize {
        self.0.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(&Even)
    }
}

/// A method whose gate files would not find.
#[derive(Debug)]
struct Lost;

impl Method for Lost {
    fn kind(&self) -> &'static MethodKind {
        &Lora::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new()
    }

    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        vec![ParameterSpec::new("a", "gate.weight", [shape.rank, shape.d_in], Initial::Zeros)]
    }
}

#[test]
fn a_registered_method_is_known_by_its_name_and_its_type() {
    static KIND: MethodKind = Evenly::KIND;
    assert!(MethodKind::by_name("evenly").is_none());
    KIND.register().unwrap();
    Evenly::KIND.register().unwrap();
    assert_eq!(MethodKind::all().filter(|kind| kind.name == "evenly").count(), 1);
    let kind = MethodKind::by_peft_type("EVENLY").unwrap();
    let method = (kind.build)(&MethodSettings::new().with("num_experts", 3)).unwrap();
    assert_eq!(method.num_experts(), 3);
}

#[test]
fn what_is_taken_or_would_be_lost_is_refused_by_name() {
    const TOP_K: Setting = Setting::new::<f32>("top_k", "Not a number of experts.", "0.5");
    static NAME: MethodKind = MethodKind { name: "lora", peft_type: "A", ..Evenly::KIND };
    static TYPE: MethodKind = MethodKind { name: "a", peft_type: "LORA", ..Evenly::KIND };
    static SETTING: MethodKind = MethodKind { name: "b", peft_type: "B", settings: &[TOP_K], ..Evenly::KIND };
    static KEY: MethodKind =
        MethodKind { name: "c", peft_type: "C", settings: &[], build: |_| Ok(Arc::new(Lost)), ..Evenly::KIND };
    assert_eq!(NAME.register(), Err(RegistrationError::Name { name: "lora" }));
    assert_eq!(TYPE.register(), Err(RegistrationError::PeftType { name: "a", peft_type: "LORA", other: "lora" }));
    assert_eq!(SETTING.register(), Err(RegistrationError::Setting { name: "b", setting: "top_k", other: "mole" }));
    let key = RegistrationError::Key { name: "c", parameter: "a", key: "gate.weight".into() };
    assert_eq!(KEY.register(), Err(key));
    assert!(["a", "b", "c"].iter().all(|name| MethodKind::by_name(name).is_none()));
}

#[test]
fn a_router_alone_makes_an_adapter() {
    let config = AdapterConfig::new(Routed::new(3, Even).unwrap(), 2, 4.0, 0.0).unwrap();
    let adapter = Adapter::new(config.clone(), 4, 5, &[0], &Device::default());
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
    adapter.forward(Tensor::ones([6, 4], &Device::default()), &mut context);
    let layers = context.into_layers();
    let weights = layers[0].decision.as_ref().unwrap().weights.clone();
    assert!(weights.into_data().iter::<f32>().all(|weight| (weight - 1.0 / 3.0).abs() < 1e-6));
    // Another router is another method, though both have one name.
    #[derive(Debug, Clone)]
    struct Other(Even);
    impl Router for Other {
        fn route(&self, input: &RouterInput<'_>) -> Routing {
            self.0.route(input)
        }
    }
    let other = AdapterConfig::new(Routed::new(3, Other(Even)).unwrap(), 2, 4.0, 0.0).unwrap();
    assert!(config != other);
}
