use super::*;
use serde::Deserialize;
use serde_json::json;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Straight,
    RoundAbout,
}

const RATE: Setting = Setting::new::<f32>("rate", "The rate.", "0.1").reference("0.5");
const STEPS: Setting = Setting::new::<Option<usize>>("steps", "The steps.", "all of them");
const WAY: Setting = Setting::new::<Way>("way", "The way.", "straight");
const NAMES: Setting = Setting::new::<Vec<String>>("names", "The names.", "a,b");

#[test]
fn the_kind_of_a_setting_follows_from_its_type() {
    assert_eq!(RATE.kind(), SettingKind::Number);
    assert_eq!(STEPS.kind(), SettingKind::Integer);
    assert_eq!(WAY.kind(), SettingKind::Choice(&["straight", "round-about"]));
    assert_eq!(NAMES.kind(), SettingKind::List);
    assert_eq!(SettingKind::of::<bool>(), SettingKind::Flag);
    assert_eq!(SettingKind::of::<std::path::PathBuf>(), SettingKind::Text);
    assert_eq!(SettingKind::of::<crate::Rank>(), SettingKind::Integer);
}

#[test]
fn a_value_is_recorded_alike_from_a_command_line_and_a_file() {
    assert_eq!(RATE.parse(".3").unwrap().to_string(), "0.3");
    assert_eq!(RATE.check(&json!(16)).unwrap(), json!(16.0));
    assert_eq!(WAY.parse("round-about").unwrap(), WAY.check(&json!("round-about")).unwrap());
    assert_eq!(NAMES.parse("x, y").unwrap(), json!(["x", "y"]));
    assert_eq!(STEPS.parse("18446744073709551615").unwrap(), json!(u64::MAX));
}

#[test]
fn a_value_that_is_not_one_of_the_setting_is_refused_by_name() {
    let message = |result: Result<Value, SettingError>| result.unwrap_err().to_string();
    assert_eq!(message(RATE.parse("nan")), "rate is nan, expected a finite number");
    assert_eq!(message(RATE.check(&json!(1e300))), "rate is 1e+300, expected a number within the range of 32 bits");
    assert_eq!(message(STEPS.parse("-1")), "steps is -1, expected an integer of at least 0");
    assert_eq!(message(STEPS.check(&Value::Null)), "steps is none, expected an integer of at least 0");
    assert_eq!(message(WAY.parse("along")), "way is along, expected straight or round-about");
    assert!(message(NAMES.check(&json!([1]))).starts_with("names: invalid type: integer `1`"));
}

#[test]
fn a_default_is_a_value_or_a_rule() {
    assert_eq!((RATE.default_value(), RATE.reference_value()), (Some(json!(0.1)), Some(json!(0.5))));
    assert_eq!((STEPS.default_value(), STEPS.default_words().unwrap().as_str()), (None, "all of them"));
}

#[test]
fn short_help_is_the_first_sentence() {
    const LONG: Setting = Setting::new::<f32>("rate", "The rate, of 1.5 or so: wsc.fixed. More of it.", "0.1");
    assert_eq!((RATE.short_help(), LONG.short_help()), ("The rate", "The rate, of 1.5 or so: wsc.fixed"));
}
