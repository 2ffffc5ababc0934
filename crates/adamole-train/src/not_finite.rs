//! Numbers that are not finite in JSON: written as null, read as not a number.

use serde::{Deserialize, Deserializer};

/// A number, or null.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Numbers, some of them null.
pub(crate) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let numbers: Vec<Option<f64>> = Vec::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

#[cfg(test)]
mod tests {
    use crate::{EpochMetrics, Prediction, Score, TrainEvent};

    #[test]
    fn what_is_not_finite_is_read_back() {
        let prediction = Prediction { item: 0, predicted: 1, answer: Some(0), scores: vec![f64::NAN, 0.1] };
        let json = serde_json::to_string(&prediction).unwrap();
        let back: Prediction = serde_json::from_str(&json).unwrap();
        assert!(back.scores[0].is_nan() && back.scores[1] == 0.1, "{json}");
        let epoch = EpochMetrics {
            epoch: 1,
            score: Score::Choices { accuracy: 0.5, choice_loss: f64::NAN },
            task_loss: None,
            balance_loss: None,
            mean_active_experts: None,
            best: false,
            diverged: false,
            seconds: 1.0,
        };
        let json = serde_json::to_string(&TrainEvent::Epoch(epoch)).unwrap();
        let TrainEvent::Epoch(back) = serde_json::from_str(&json).unwrap() else { panic!("{json}") };
        assert!(matches!(back.score, Score::Choices { accuracy: 0.5, choice_loss } if choice_loss.is_nan()), "{json}");
    }
}
