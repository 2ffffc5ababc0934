//! Runs that a signal stops.

use crate::scene::{Scene, assert_same, fails, succeeds, wait_for};
use std::{
    fs,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

#[test]
fn a_signal_saves_and_stops() {
    // So many epochs that the signal comes in time.
    let scene = Scene::new(400, &["--method", "adamole"]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let name = format!("run-{signal}");
        let child = scene.begin(&name, &[]).spawn().unwrap();
        wait_for(&scene.run(&name).join("checkpoints"));
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        fails(&output, code, &["stopped by a signal after", "hint: continue with --resume"]);
        assert!(!scene.run(&name).join("report.json").exists());
    }
}

#[test]
fn a_second_signal_ends_the_program_within_the_micro_batch() {
    // One step over all the data in one micro-batch, which takes seconds anywhere.
    let mut scene = Scene::new(1, &["--method", "adamole", "--rank", "64", "--workers", "1"]);
    scene.fixed.extend(["--micro-batch-size".into(), "400".into()]);
    for (flag, value) in [("--limit-train", "400"), ("--batch-size", "400")] {
        let place = scene.fixed.iter().position(|argument| argument == flag).unwrap();
        scene.fixed[place + 1] = value.into();
    }
    let child = scene.begin("run", &[]).spawn().unwrap();
    let id = child.id().to_string();
    let interrupt = || assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let metrics = scene.run("run/metrics.jsonl");
    let waited = Instant::now();
    // The validation before training is done: the step has begun.
    while !fs::read_to_string(&metrics).is_ok_and(|lines| lines.contains(r#""event":"epoch""#)) {
        assert!(waited.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(20));
    }
    interrupt();
    // Two signals at the same instant are one.
    sleep(Duration::from_millis(200));
    interrupt();
    let output = child.wait_with_output().unwrap();
    fails(&output, 130, &[]);
    // It did not stop by itself, after the micro-batch: that would have been said and saved.
    assert!(!String::from_utf8_lossy(&output.stderr).contains("stopped by a signal"));
    assert!(!fs::read_to_string(&metrics).unwrap().contains(r#""event":"step""#));
    assert!(!scene.run("run/checkpoints").exists());
}

#[test]
fn a_signal_ends_a_step_of_many_micro_batches_at_once_and_drops_it() {
    // A step of 200 micro-batches, one after the other.
    let mut scene =
        Scene::new(2, &["--method", "adamole", "--rank", "16", "--workers", "1", "--micro-batch-size", "2"]);
    for (flag, value) in [("--limit-train", "400"), ("--batch-size", "400")] {
        let place = scene.fixed.iter().position(|argument| argument == flag).unwrap();
        scene.fixed[place + 1] = value.into();
    }
    let started = Instant::now();
    succeeds(&scene.begin("whole", &[]).output().unwrap());
    let step = started.elapsed() / 2;
    let child = scene.begin("broken", &[]).spawn().unwrap();
    let metrics = scene.run("broken/metrics.jsonl");
    while !fs::read_to_string(&metrics).is_ok_and(|lines| lines.contains(r#""event":"epoch""#)) {
        assert!(started.elapsed() < Duration::from_secs(120));
        sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < step / 4, "{:?} of a step of {step:?}", asked.elapsed());
    fails(&output, 143, &["stopped by a signal after 0 steps", "hint: continue with --resume"]);
    succeeds(&scene.resume("broken", &[]).output().unwrap());
    assert_same(&scene, "broken", "whole");
}
