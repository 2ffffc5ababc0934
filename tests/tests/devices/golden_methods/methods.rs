//! Each method with the settings of a case.

use super::sites::Sites;
use adamole::core::{AdapterConfig, HydraLora, Method};
use adamole_tests::Case;

/// Compares everything that is recorded of a case.
pub(super) fn check(case: &Case) {
    eprintln!("{}", case.folder.display());
    match case.json["method"].as_str() {
        Some("hydralora") => hydralora(case),
        other => panic!("the method {other:?} is not implemented"),
    }
}

fn integer(case: &Case, name: &str) -> usize {
    case.number(name) as usize
}

fn config(case: &Case, method: impl Method + 'static) -> AdapterConfig {
    let config = AdapterConfig::new(method, integer(case, "/rank"), case.number("/alpha") as f32, 0.0).unwrap();
    assert_eq!(config.scale(), case.number("/scaling") as f32);
    config
}

fn hydralora(case: &Case) {
    let num_experts = integer(case, "/num_experts").try_into().unwrap();
    Sites::of(case, &config(case, HydraLora { num_experts })).check(1.0, &[]);
}
