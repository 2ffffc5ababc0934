use super::*;

/// Whether a name is what a pattern describes, as the hub's client reads it.
fn matches(pattern: &str, name: &str) -> bool {
    let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build().unwrap();
    glob.compile_matcher().is_match(name)
}

fn find_in(benchmark: &str, files: &[&str]) -> Result<Vec<String>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    let found = find(Benchmark::by_name(benchmark).unwrap(), folder.path(), Split::Train)?;
    let relative = |file: SplitFile| file.path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
    Ok(found.into_iter().map(relative).collect())
}

#[test]
fn the_usual_layouts_are_known() {
    for file in [
        "train.jsonl",
        "train.jsonl.gz",
        "train.jsonl.zst",
        "train.csv",
        "train.tsv.gz",
        "train.parquet",
        "cb/train.jsonl",
        "cb/train-00000-of-00001.parquet",
        "data/train-00000-of-00001-8a2b6d4c.parquet",
        "cb/train/0000.parquet",
        "CB/train.jsonl",
        "default/train/0000.parquet",
        "default/train-00000-of-00001.parquet",
        "train/part-0.jsonl.gz",
        "data/train.csv",
        "data/train/a.parquet",
        "train.json",
    ] {
        let validation = if file.starts_with("default/") { "default/validation.jsonl" } else { "validation.jsonl" };
        let beside = [validation, "README.md", "train/dataset_info.json", "train/_SUCCESS.json"];
        assert_eq!(find_in("cb", &[&[file], &beside[..]].concat()).unwrap(), [file]);
        assert!(
            patterns(Benchmark::by_name("cb").unwrap()).concat().iter().any(|pattern| matches(pattern, file)),
            "{file}"
        );
    }
    assert_eq!(find_in("piqa", &["plain_text/train/0000.parquet"]).unwrap(), ["plain_text/train/0000.parquet"]);
    assert_eq!(find_in("piqa", &["piqa/train.jsonl", "copa/train.jsonl"]).unwrap(), ["piqa/train.jsonl"]);
}

#[test]
fn shards_come_in_order_and_whole() {
    let shards = ["train-00001-of-00003.parquet", "train-00002-of-00003.parquet", "train-00000-of-00003.parquet"];
    let mut sorted = shards;
    sorted.sort();
    assert_eq!(find_in("cb", &shards).unwrap(), sorted);
    let error = find_in("cb", &shards[..2]).unwrap_err();
    assert!(matches!(error, DataError::MissingShard { index: 0, of: 3, .. }), "{error}");
}

#[test]
fn two_kinds_of_files_for_one_split_are_an_error() {
    for other in ["train.csv", "train.json"] {
        let error = find_in("cb", &["train.jsonl", other]).unwrap_err().to_string();
        assert!(error.contains("train.jsonl") && error.contains(other), "{error}");
    }
}

#[test]
fn all_splits_are_below_one_folder() {
    let error = find_in("copa", &["copa/validation.jsonl", "data/train.jsonl"]).unwrap_err().to_string();
    assert!(error.ends_with("copa/train.jsonl does not exist; its folder has: validation.jsonl"), "{error}");
}

#[test]
fn rows_are_not_read_twice() {
    for files in [
        ["train.parquet", "train-00000-of-00001.parquet"],
        ["data/train-00000-of-00001-a.parquet", "data/train-00000-of-00001-b.parquet"],
        ["data/train-00000-of-00001.parquet", "data/train-00000-of-00002.parquet"],
    ] {
        let error = find_in("cb", &files).unwrap_err();
        assert!(matches!(error, DataError::AmbiguousSplit { .. }), "{files:?}: {error}");
    }
}

#[test]
fn a_split_has_other_names_too() {
    let find = |files: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::create_dir_all(folder.path().join(file).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let found = find(Benchmark::by_name("cb").unwrap(), folder.path(), Split::Validation)?;
        Ok::<_, DataError>(found[0].path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned())
    };
    for file in ["val.jsonl", "dev.tsv", "valid.csv", "dev/a.parquet", "data/val-00000-of-00001.parquet"] {
        assert_eq!(find(&[file, "train.jsonl"]).unwrap(), file);
        assert_eq!(find(&["validation.jsonl", file]).unwrap(), "validation.jsonl");
    }
    assert!(matches!(find(&["val.jsonl", "dev.jsonl"]), Err(DataError::AmbiguousSplit { .. })));
}
