//! The known name that is nearest to one that is not known.

/// Names that are less alike than this have nothing to do with each other; 1 is the same name.
const ALIKE: f64 = 0.6;

/// The nearest of the `known` names, if one is near.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(name, other);
    let rated = known.into_iter().map(|other| (likeness(other), other));
    let (likeness, nearest) = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness > ALIKE).then_some(nearest)
}

/// The nearest name to the one that serde did not know, as its message about a file tells: ``unknown field `x`, expected one
/// of `a`, `b` ``.
pub(super) fn nearest_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown field `").or_else(|| message.split_once("unknown variant `"))?;
    let (name, rest) = rest.split_once('`')?;
    let known = rest.lines().next()?.strip_prefix(", expected ")?;
    nearest(name, known.split('`').skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("bacth_size", ["epochs", "batch_size", "micro_batch_size"]), Some("batch_size"));
        assert_eq!(nearest("colour", ["epochs", "batch_size"]), None);
        assert_eq!(nearest("colour", []), None);
    }

    #[test]
    fn the_names_are_taken_from_serdes_messages() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "only its names count")]
        struct Two {
            prompt: Option<String>,
            passage: Option<String>,
        }
        let message = |text: &str| toml::from_str::<Two>(text).unwrap_err().to_string();
        assert_eq!(nearest_in(&message("promt = ''")), Some("prompt"));
        assert_eq!(nearest_in(&message("pasage = ''")), Some("passage"));
        assert_eq!(nearest_in(&message("x = ''")), None);
        assert_eq!(nearest_in(&message("prompt = 1")), None);
    }
}
