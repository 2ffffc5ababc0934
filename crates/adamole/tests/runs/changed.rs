//! Runs that go on with something else than they were begun with, and folders that hold something else than one run.

use crate::scene::{Scene, assert_same, copy, datasets, fails, succeeds, traces, wait_for};
use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

#[test]
fn what_has_changed_is_refused_and_shown() {
    let scene = Scene::new(2, &["--method", "lora"]);
    succeeds(&scene.begin("run", &[]).output().unwrap());
    fs::remove_file(scene.run("run/report.json")).unwrap();
    let resume = |more: &[&str]| scene.resume("run", more).output().unwrap();
    fails(&resume(&["--epochs", "3", "--rank", "8"]), 2, &["epochs: 2 -> 3", "rank: default -> ", "--allow-changes"]);
    let rows = fs::read_to_string(scene.run("copa/train.jsonl")).unwrap();
    fs::write(scene.run("copa/train.jsonl"), rows.replacen("\"label\":0", "\"label\":1", 1)).unwrap();
    fails(&resume(&[]), 2, &["changed since the run began: the data: "]);
    fs::write(scene.run("copa/train.jsonl"), rows).unwrap();
    // What does not change the course of a run may change, and so may the rest if that is what is wanted.
    succeeds(&resume(&["--workers", "1"]));
    fs::remove_file(scene.run("run/report.json")).unwrap();
    let output = resume(&["--epochs", "3", "--allow-changes"]);
    succeeds(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: changed since the run began: epochs: 2 -> 3"));
    assert_eq!(traces(&scene.run("run")).2["epochs"], 3);
}

/// The run as it was after so many steps: later checkpoints and its result are taken away.
fn set_back(scene: &Scene, run: &str, step: usize) {
    fs::remove_file(scene.run(run).join("report.json")).unwrap();
    for entry in fs::read_dir(scene.run(run).join("checkpoints")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy()[5..13].parse::<usize>().unwrap() > step {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[test]
fn a_finished_run_is_shown_again_and_a_begun_one_not_overwritten() {
    let scene = Scene::new(3, &["--method", "lora"]);
    let first = scene.begin("run", &[]).output().unwrap();
    succeeds(&first);
    let again = scene.resume("run", &[]).output().unwrap();
    succeeds(&again);
    assert_eq!(String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&first.stdout));
    let other = scene.resume("run", &["--epochs", "4", "--allow-changes"]).output().unwrap();
    fails(&other, 2, &["run holds a finished run", "epochs: 3 -> 4", "hint: its result is"]);
    fails(&scene.begin("run", &[]).output().unwrap(), 2, &["already holds a run", "hint: continue it with --resume"]);
    fails(&scene.resume("nowhere", &[]).output().unwrap(), 1, &["nowhere/settings.json", "hint: "]);
}

#[test]
fn a_checkpoint_of_another_run_is_refused_with_what_differs() {
    let scene = Scene::new(3, &["--method", "adamole", "--keep-checkpoints", "99"]);
    for (other, more, part) in [
        ("seed", &["--seed", "5"][..], "seed: 5 -> 0"),
        ("rate", &["--learning-rate", "0.01"], "learning_rate: 0.01 -> 0.003"),
        ("data", &["--limit-train", "88"], "the data: "),
    ] {
        succeeds(&scene.begin("run", &[]).output().unwrap());
        // The last of an option counts.
        let mut fixed = scene.fixed.clone();
        for pair in more.chunks(2) {
            match fixed.iter().position(|argument| argument == pair[0]) {
                Some(place) => fixed[place + 1] = pair[1].to_owned(),
                None => fixed.extend(pair.iter().map(|part| (*part).to_owned())),
            }
        }
        let output = scene.program().args(&fixed).args(["--output", other]).output().unwrap();
        succeeds(&output);
        set_back(&scene, "run", 20);
        fs::copy(
            scene.run(other).join("checkpoints/step-00000030.safetensors"),
            scene.run("run/checkpoints/step-00000030.safetensors"),
        )
        .unwrap();
        for flags in [&[][..], &["--allow-changes"]] {
            let output = scene.resume("run", flags).output().unwrap();
            fails(&output, 1, &["step-00000030.safetensors: not a checkpoint of this run", part, "hint: remove "]);
        }
        fs::remove_dir_all(scene.run("run")).unwrap();
    }
}

#[test]
fn changes_that_were_allowed_hold_from_then_on() {
    let scene = Scene::new(3, &["--method", "lora", "--keep-checkpoints", "99"]);
    succeeds(&scene.begin("run", &[]).output().unwrap());
    set_back(&scene, "run", 20);
    succeeds(&scene.resume("run", &["--epochs", "4", "--learning-rate", "1e-3", "--allow-changes"]).output().unwrap());
    copy(&scene.run("run"), &scene.run("broken"));
    // Killed after the change: before its first checkpoint, and later.
    for step in [40, 20] {
        set_back(&scene, "broken", step);
        succeeds(&scene.resume("broken", &[]).output().unwrap());
        assert_same(&scene, "broken", "run");
    }
    let config: serde_json::Value = serde_json::from_slice(&fs::read(scene.run("run/config.json")).unwrap()).unwrap();
    assert_eq!((&config["recipe"]["epochs"], &config["origins"]["epochs"]), (&4.into(), &"flag".into()));
    assert_eq!((&config["recipe"]["batch_size"], &config["origins"]["batch_size"]), (&8.into(), &"flag".into()));
}

#[test]
fn one_byte_of_the_weights_is_another_base() {
    let mut scene = Scene::new(2, &["--method", "lora"]);
    copy(&datasets().join("base"), &scene.run("base"));
    let place = scene.fixed.iter().position(|argument| argument == "--model").unwrap();
    scene.fixed[place + 1] = "base".into();
    succeeds(&scene.begin("run", &[]).output().unwrap());
    fs::remove_file(scene.run("run/report.json")).unwrap();
    let mut file = fs::OpenOptions::new().read(true).write(true).open(scene.run("base/model.safetensors")).unwrap();
    let place = SeekFrom::Start(file.metadata().unwrap().len() - 100_000);
    let mut byte = [0];
    file.seek(place).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(place).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    let output = scene.resume("run", &[]).output().unwrap();
    fails(&output, 2, &["changed since the run began: the weights of the base model: "]);
}

#[test]
fn settings_that_were_edited_are_refused_by_name() {
    let scene = Scene::new(2, &["--method", "lora"]);
    succeeds(&scene.begin("run", &[]).output().unwrap());
    fs::remove_file(scene.run("run/report.json")).unwrap();
    let whole = fs::read_to_string(scene.run("run/settings.json")).unwrap();
    for (from, to, part) in [
        (r#""learning_rate": 0.003"#, r#""learning_rate": 0.5"#, "learning_rate: 0.003 -> 0.5"),
        (r#""seed": null"#, r#""seed": 7"#, "seed: 0 -> 7"),
        (r#""max_tokens": null"#, r#""max_tokens": 40"#, "max_tokens: 256 -> 40"),
    ] {
        assert!(whole.contains(from), "{whole}");
        fs::write(scene.run("run/settings.json"), whole.replace(from, to)).unwrap();
        fails(&scene.resume("run", &[]).output().unwrap(), 2, &["settings.json contradict each other", part]);
    }
    fs::write(scene.run("run/settings.json"), &whole[..whole.len() / 2]).unwrap();
    fails(&scene.resume("run", &[]).output().unwrap(), 1, &["run/settings.json: EOF while parsing", "hint: "]);
    fs::write(scene.run("run/settings.json"), &whole).unwrap();
    // Its record is written anew where it is gone.
    for damage in [None, Some("{")] {
        match damage {
            None => fs::remove_file(scene.run("run/config.json")).unwrap(),
            Some(text) => fs::write(scene.run("run/config.json"), text).unwrap(),
        }
        let output = scene.resume("run", &[]).output().unwrap();
        succeeds(&output);
        assert!(String::from_utf8_lossy(&output.stderr).contains("warning: config.json of the run cannot be read"));
        let config = fs::read_to_string(scene.run("run/config.json")).unwrap();
        assert!(config.contains(r#""learning_rate": 0.003"#), "{config}");
        fs::remove_file(scene.run("run/report.json")).unwrap();
    }
}

#[test]
fn a_run_goes_on_from_any_folder() {
    let scene = Scene::new(2, &["--method", "lora", "--keep-checkpoints", "99"]);
    succeeds(&scene.begin("run", &[]).output().unwrap());
    copy(&scene.run("run"), &scene.run("broken"));
    set_back(&scene, "broken", 20);
    let resume = |run: &Path, folder: &Path, more: &[&str]| {
        let mut program = scene.program();
        program.args(["--resume", &run.display().to_string(), "--format", "json"]).args(more).current_dir(folder);
        program.output().unwrap()
    };
    fs::create_dir(scene.run("elsewhere")).unwrap();
    succeeds(&resume(&scene.run("broken"), &scene.run("elsewhere"), &[]));
    assert_same(&scene, "broken", "run");
    // The data have moved: it is said where they were, and they may be named anew.
    fs::remove_file(scene.run("broken/report.json")).unwrap();
    fs::rename(scene.run("copa"), scene.run("elsewhere/moved")).unwrap();
    let output = resume(Path::new("broken"), scene.folder.path(), &[]);
    fails(&output, 1, &["note: the run was started in ", "and `copa` is not found there"]);
    succeeds(&resume(&scene.run("broken"), &scene.run("elsewhere"), &["--data", "moved"]));
    assert_same(&scene, "broken", "run");
}

#[test]
fn what_is_left_of_a_run_is_not_begun_in() {
    let scene = Scene::new(2, &["--method", "lora"]);
    succeeds(&scene.begin("run", &[]).output().unwrap());
    for left in ["checkpoints", "adapter", "report.json"] {
        copy(&scene.run("run"), &scene.run("left"));
        for entry in fs::read_dir(scene.run("left")).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                _ if entry.ends_with(left) => {}
                true => fs::remove_dir_all(entry).unwrap(),
                false => fs::remove_file(entry).unwrap(),
            }
        }
        fails(
            &scene.begin("left", &[]).output().unwrap(),
            2,
            &["left already holds a run", left, "hint: choose another"],
        );
        fs::remove_dir_all(scene.run("left")).unwrap();
    }
    // Settings alone are of a run that was killed before it computed anything.
    fs::create_dir(scene.run("left")).unwrap();
    for file in ["config.json", "settings.json"] {
        fs::copy(scene.run("run").join(file), scene.run("left").join(file)).unwrap();
    }
    copy(&scene.run("left"), &scene.run("resumed"));
    succeeds(&scene.begin("left", &[]).output().unwrap());
    succeeds(&scene.resume("resumed", &[]).output().unwrap());
    assert_same(&scene, "left", "run");
    assert_same(&scene, "resumed", "run");
}

#[test]
fn a_folder_that_a_process_is_about_to_use_is_left_alone() {
    let scene = Scene::new(400, &["--method", "lora"]);
    let mut child = scene.begin("run", &[]).spawn().unwrap();
    wait_for(&scene.run("run/checkpoints"));
    let left = fs::read(scene.run("run/config.json")).unwrap();
    let used = format!("run is in use by process {}", child.id());
    fails(&scene.begin("run", &["--seed", "2"]).output().unwrap(), 2, &[&used, "hint: wait for it"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read(scene.run("run/config.json")).unwrap(), left);
}
