//! A batch of token ids on a device, with all that a forward pass has to know of its layout.

use crate::{
    ModelConfig,
    rotation::{Rotary, Stretch},
};
use adamole_core::{Rows, ValidRows};
use adamole_kernels::Visibility;
use burn::tensor::{Device, Int, Tensor};
use std::{iter, sync::Arc};

/// B sequences of L token ids each: which positions attend to which, and which are tokens.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    ids: Tensor<2, Int>,
    visible: Visibility,
    rows: Rows,
    /// The lengths of the texts that are packed into one sequence.
    packed: Option<Arc<Vec<usize>>>,
}

impl TokenBatch {
    /// Token ids `[B, L]`. All positions count as tokens in routing and in the auxiliary loss, whatever `visible` hides.
    pub fn new(ids: Tensor<2, Int>, visible: Visibility) -> Self {
        let [sequences, length] = ids.dims();
        Self { ids, visible, rows: Rows::new(sequences * length, sequences, None), packed: None }
    }

    /// Token ids `[B, L]`, each of which attends to itself and those before it.
    pub fn causal(ids: Tensor<2, Int>) -> Self {
        let visible = Visibility::causal(ids.dims()[1]);
        Self::new(ids, visible)
    }

    /// Texts of these lengths, one after the other in `[1, L]`, and padding after the last. Each is as it would be alone:
    /// its positions count from 0, and it attends to itself only. In routing each is a sequence.
    ///
    /// # Panics
    /// The ids are not one row, or fewer than the texts.
    pub fn packed(ids: Tensor<2, Int>, lengths: &[usize]) -> Self {
        let [sequences, length] = ids.dims();
        assert_eq!(sequences, 1, "packed texts are one row");
        let rows = Rows::packed(length, lengths, &ids.device());
        let padding = length - lengths.iter().sum::<usize>();
        let numbered = lengths.iter().chain([&padding]).zip(0..);
        let documents: Vec<u32> = numbered.flat_map(|(length, number)| iter::repeat_n(number, *length)).collect();
        let visible = Visibility::documents(&documents, length);
        Self { ids, visible, rows, packed: Some(Arc::new(lengths.to_vec())) }
    }

    /// The same, where only these positions are tokens.
    ///
    /// # Panics
    /// The mask has not a row for each position.
    pub fn with_tokens(self, tokens: ValidRows) -> Self {
        let (total, sequences) = (self.rows.total(), self.rows.sequences());
        assert_eq!(tokens.mask.dims(), [total, 1], "the mask of the tokens has a row for each position");
        Self { rows: Rows::new(total, sequences, Some(tokens)), ..self }
    }

    /// Token ids, `[B, L]`.
    pub fn ids(&self) -> Tensor<2, Int> {
        self.ids.clone()
    }

    /// The layout of the flattened positions, `[B L]`.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// What attention needs of the layout, for positions that begin with `start`, where the longest text has `longest`.
    pub(crate) fn sequences(&self, start: usize, longest: usize, config: &ModelConfig) -> Sequences {
        let ([count, length], device) = (self.ids.dims(), self.ids.device());
        let stretches: Vec<Stretch> = match &self.packed {
            None => vec![Stretch { positions: start..start + length, longest }],
            Some(lengths) => {
                let longest = lengths.iter().copied().max().unwrap_or(longest);
                let padding = length - lengths.iter().sum::<usize>();
                lengths.iter().chain([&padding]).map(|length| Stretch { positions: 0..*length, longest }).collect()
            }
        };
        let visible = self.visible.clone();
        Sequences { count, ..Sequences::of_stretches(&stretches, visible, config, &device) }
    }
}

/// What attention needs of a batch's layout.
#[derive(Debug, Clone)]
pub(crate) struct Sequences {
    /// B.
    pub(crate) count: usize,
    /// The rotations of the model, for the positions.
    pub(crate) rotations: Vec<Rotary>,
    /// Which positions attend to which in layers without a window.
    visible: Visibility,
    /// The same in layers with a window of this size, where it hides more.
    windows: Vec<(usize, Visibility)>,
}

impl Sequences {
    /// One sequence of these positions, of which each sees the `visible` ones.
    pub(crate) fn of_stretches(
        stretches: &[Stretch],
        visible: Visibility,
        config: &ModelConfig,
        device: &Device,
    ) -> Self {
        let mut sizes: Vec<usize> = config.layers.iter().filter_map(|layer| layer.window).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let windows = sizes.into_iter().filter_map(|window| Some((window, visible.within(window)?)));
        Self {
            count: 1,
            rotations: config.rotations.iter().map(|rotation| Rotary::new(rotation, stretches, device)).collect(),
            windows: windows.collect(),
            visible,
        }
    }

    /// Which positions attend to which in layers with this window.
    pub(crate) fn visible(&self, window: Option<usize>) -> &Visibility {
        let windowed = self.windows.iter().find(|(size, _)| Some(*size) == window);
        windowed.map_or(&self.visible, |(_, visible)| visible)
    }

    /// The same for tensors with autodiff.
    pub(crate) fn tracked(&self) -> Self {
        Self {
            count: self.count,
            rotations: self.rotations.iter().map(Rotary::tracked).collect(),
            visible: self.visible.clone(),
            windows: self.windows.clone(),
        }
    }
}
