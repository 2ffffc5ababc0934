//! A step of AdamW in one pass over parameter, gradient and moments.

use crate::{
    AdamWStep,
    adamw::ExpertStep,
    team::{PART, share, threads},
    wide::wide,
};

/// Changes a parameter and its moments, `[outer, experts, inner]` each. `counts` are those of the experts.
pub(super) fn adamw(
    [value, first, second]: [&mut [f32]; 3],
    gradient: &[f32],
    inner: usize,
    clip: f32,
    counts: &[f32],
    step: AdamWStep,
) {
    let of_experts: Vec<Option<ExpertStep>> = counts.iter().map(|count| step.of_expert(*count)).collect();
    let part = value.len().div_ceil(2 * threads()).max(PART);
    let changed = value.chunks_mut(part).zip(first.chunks_mut(part)).zip(second.chunks_mut(part));
    share(changed.zip(gradient.chunks(part)).enumerate().collect(), |(index, (((value, first), second), gradient))| {
        let mut start = 0;
        while start < value.len() {
            let place = index * part + start;
            let end = value.len().min(start + inner - place % inner);
            if let Some(of_expert) = of_experts[place / inner % of_experts.len()] {
                let changed = [&mut value[start..end], &mut first[start..end], &mut second[start..end]];
                of_one_expert(changed, &gradient[start..end], clip, of_expert, step);
            }
            start = end;
        }
    });
}

wide! {
    fn of_one_expert(changed: [&mut [f32]; 3], gradient: &[f32], clip: f32, of_expert: ExpertStep, step: AdamWStep) {
        let numbers = [step.beta_1, 1.0 - step.beta_1, step.beta_2, 1.0 - step.beta_2, step.epsilon, step.decay];
        let [beta_1, rest_1, beta_2, rest_2, epsilon, decay] = numbers.map(|number| number as f32);
        let ExpertStep { step_size, second_factor } = of_expert;
        let [value, first, second] = changed;
        for (((value, first), second), gradient) in value.iter_mut().zip(first).zip(second).zip(gradient) {
            let gradient = gradient * clip;
            *first = *first * beta_1 + gradient * rest_1;
            *second = *second * beta_2 + gradient * gradient * rest_2;
            *value = *value * decay - *first / (second.sqrt() * second_factor + epsilon) * step_size;
        }
    }
}
