//! Which files patterns stand for.

use crate::*;

/// The files of these that a hub is asked for.
fn chosen(files: &[&str], wanted: &Wanted) -> Result<Vec<String>, HubError> {
    let world = World::new(site(&files.iter().map(|name| (*name, &b"x"[..])).collect::<Vec<_>>()), right);
    let mut chosen = Vec::new();
    world.hub().fetch(&Source::parse("org/name").unwrap(), Kind::Model, wanted, &mut |event| {
        if let Event::Finished { file } = event {
            chosen.push(file.to_owned());
        }
    })?;
    Ok(chosen)
}

#[test]
fn stars_stay_in_a_folder_unless_doubled() {
    for (pattern, name, expected) in [
        ("config.json", "config.json", true),
        ("config.json", "config_json", false),
        ("*.json", "config.json", true),
        ("*.json", ".json", true),
        ("*.json", "original/params.json", false),
        ("*.json", "config.json.bak", false),
        ("**.json", "original/params.json", true),
        ("super_glue/cb/*", "super_glue/cb/train.parquet", true),
        ("super_glue/cb/*", "super_glue/cb/old/train.parquet", false),
        ("data/**", "data/a/b", true),
        ("**/b", "a/x/b", true),
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXbYbZ", false),
        ("a.[b]*", "a.[b]c", true),
        ("a.[b]*", "axbc", false),
        ("", "a", false),
    ] {
        let found = chosen(&[name], &Wanted::default().and_if_present([pattern])).unwrap();
        assert_eq!(found.contains(&name.to_owned()), expected, "{pattern} {name}");
    }
}

#[test]
fn many_stars_are_quick() {
    let name = format!("{}/b", "a".repeat(200));
    assert!(chosen(&[&name], &Wanted::default().and_if_present(["a*".repeat(50)])).unwrap().is_empty());
}

#[test]
fn what_is_optional_is_never_missing() {
    let files = ["README.md", "config.json"];
    let wanted = Wanted::new(["config.json"]).and_if_present(["*.md", "*.txt"]);
    assert_eq!(chosen(&files, &wanted).unwrap(), files);
    let rows = Wanted::default().and_if_present(["*.csv"]).at_least_one("file with rows");
    let error = chosen(&files, &rows).unwrap_err();
    assert!(matches!(&error, HubError::FilesNotFound { missing, .. } if missing == &["file with rows"]), "{error}");
    assert_eq!(chosen(&["a.csv"], &rows).unwrap(), ["a.csv"]);
    let groups = [["a/*"], ["*.md"], ["*"]].map(|group| group.map(String::from).into());
    assert_eq!(chosen(&files, &Wanted::default().and_first_of(groups.into())).unwrap(), ["README.md"]);
}
