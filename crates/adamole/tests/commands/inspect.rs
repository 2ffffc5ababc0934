//! `adamole inspect` and the analysis of `adamole evaluate`.

use crate::{fails, shipped, shown, succeeds};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn an_adapter_is_inspected_token_by_token() {
    let folder = TempDir::new().unwrap();
    let (base, run) = (shipped(), shown(&folder.path().join("run")));
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets"));
    let train = |method: &[&str]| {
        let fixed = ["train", "--model", &base, "--benchmark", "copa", "--data", &data, "--epochs", "1"];
        let limits = ["--limit-train", "16", "--limit-validation", "8", "--output", &run];
        succeeds(&[&fixed[..], &limits, method].concat())
    };
    train(&["--method", "adamole"]);
    let tokens_page = shown(&folder.path().join("page.html"));
    let inspect = ["inspect", &run, "--model", &base, "--text", "The rope was cut.", "--html", &tokens_page];
    let found: Value = serde_json::from_str(&succeeds(&[&inspect[..], &["--format", "json"]].concat())).unwrap();
    let tokens = found["tokens"].as_array().unwrap();
    assert_eq!((&found["experts"], tokens[0]["token"].as_str()), (&8.into(), Some("<s>")));
    let layers = found["layers"].as_array().unwrap().len();
    for token in tokens {
        let cells = token["layers"].as_array().unwrap();
        assert_eq!(cells.len(), layers);
        for cell in cells {
            let linears = cell["linears"].as_array().unwrap();
            let mean = linears.iter().map(|linear| linear[1].as_f64().unwrap()).sum::<f64>() / linears.len() as f64;
            assert!((mean - cell["active"].as_f64().unwrap()).abs() < 1e-9 && linears.len() == 4, "{cell}");
            assert!((0.0..0.125).contains(&cell["threshold"].as_f64().unwrap()));
        }
    }
    let (routing, page) = (shown(&folder.path().join("routing.json")), shown(&folder.path().join("routing.html")));
    let evaluate = ["evaluate", "--model", &base, "--adapter", &run, "--benchmark", "copa", "--data", &data];
    let files = ["--limit", "8", "--routing", &routing, "--routing-page", &page, "--format", "json"];
    let report: Value = serde_json::from_str(&succeeds(&[&evaluate[..], &files].concat())).unwrap();
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let analyses = read(Path::new(&routing));
    // The run kept the same of its only epoch, which the same items judged.
    assert_eq!(analyses, read(&Path::new(&run).join("routing.json")));
    assert!(Path::new(&run).join("routing.html").exists());
    assert_eq!(std::fs::read_to_string(&page).unwrap().matches("<polyline").count(), 2 * 4);
    let (sites, scored) = (analyses[0]["linears"].as_array().unwrap(), analyses[0]["tokens"].as_u64());
    assert_eq!((analyses[0]["benchmark"].as_str(), sites.len()), (Some("copa"), layers * 4));
    assert_eq!((sites[5]["layer"].as_u64(), sites[5]["projection"].as_str()), (Some(1), Some("k_proj")));
    for (site, mean) in sites.iter().zip(report["mean_active_experts_per_site"].as_array().unwrap()) {
        let load: f64 = site["load"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).sum();
        assert!((load - 1.0).abs() < 1e-9 && site["mean_active_experts"] == *mean, "{site}");
        assert!((0.0..0.125).contains(&site["mean_threshold"].as_f64().unwrap()));
        let counts =
            |of: &Value| -> Vec<u64> { of.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect() };
        let (active, thresholds) = (counts(&site["active_histogram"]), counts(&site["threshold_histogram"]["counts"]));
        let sums = (active.iter().sum::<u64>(), thresholds.iter().sum::<u64>());
        assert_eq!((Some(sums.0), Some(sums.1), active.len(), thresholds.len()), (scored, scored, 9, 20));
        let fired: u64 = active.iter().enumerate().map(|(experts, tokens)| experts as u64 * tokens).sum();
        assert!((fired as f64 / sums.0 as f64 - mean.as_f64().unwrap()).abs() < 1e-9, "{site}");
    }
    // A mixture of benchmarks is analysed part by part.
    let mixture = ["--benchmark", "super_glue", "--data", &data, "--routing", &routing];
    succeeds(&[&evaluate[..5], &mixture].concat());
    let parts: Vec<Value> = read(Path::new(&routing)).as_array().unwrap().to_vec();
    let names: Vec<&str> = parts.iter().map(|part| part["benchmark"].as_str().unwrap()).collect();
    assert_eq!(names, ["boolq", "cb", "copa", "rte", "wic"]);
    let table = succeeds(&inspect);
    assert_eq!(table.lines().count(), tokens.len() + 1);
    assert_eq!(std::fs::read_to_string(tokens_page).unwrap().matches("<tr>").count(), tokens.len() + 1);
    std::fs::remove_dir_all(&run).unwrap();
    train(&["--method", "lora"]);
    assert!(!Path::new(&run).join("routing.json").exists());
    fails(&["inspect", &run, "--model", &base, "--text", "x"], 2, &["has no router"]);
    fails(&[&evaluate[..], &["--routing", &routing]].concat(), 2, &["has no router"]);
}
