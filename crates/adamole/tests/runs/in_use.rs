//! One process at a time has a run.

use crate::scene::{Scene, assert_same, fails, succeeds, wait_for};
use std::process::Stdio;

#[test]
fn of_two_runs_in_one_folder_the_second_is_refused() {
    let scene = Scene::new(2, &["--method", "lora"]);
    succeeds(&scene.begin("alone", &[]).output().unwrap());
    // At the same instant: either may be the first.
    let begin = || scene.begin("run", &[]).stderr(Stdio::piped()).spawn().unwrap();
    let both = [begin(), begin()];
    let outputs = both.map(|child| child.wait_with_output().unwrap());
    let [refused] = outputs.iter().filter(|output| !output.status.success()).collect::<Vec<_>>()[..] else {
        panic!("{outputs:?}")
    };
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2), "{error}");
    // The first may have been through before the second looked.
    assert!(error.contains("run is in use by process") || error.contains("run already holds a run"), "{error}");
    assert_same(&scene, "run", "alone");
}

#[test]
fn a_run_is_not_resumed_beside_itself_and_a_killed_one_is_free_at_once() {
    let scene = Scene::new(400, &["--method", "lora", "--patience", "400"]);
    let mut child = scene.begin("run", &[]).spawn().unwrap();
    wait_for(&scene.run("run/checkpoints"));
    let used = format!("run is in use by process {}", child.id());
    fails(&scene.resume("run", &[]).output().unwrap(), 2, &[&used]);
    fails(&scene.resume("run", &["--epochs", "1", "--allow-changes"]).output().unwrap(), 2, &[&used]);
    child.kill().unwrap();
    child.wait().unwrap();
    succeeds(&scene.resume("run", &["--epochs", "1", "--allow-changes"]).output().unwrap());
}
