//! The rows of a flattened input: which are tokens, and which sequence each belongs to.

use adamole_kernels::weighted_sum;
use burn::tensor::{Device, Tensor};

/// The rows of the flattened input that are tokens and not padding.
#[derive(Debug, Clone)]
pub struct ValidRows {
    /// `[T, 1]`: 1 for a token, 0 for padding.
    pub mask: Tensor<2>,
    /// Number of ones in the mask.
    pub count: usize,
}

/// The layout of T rows: one or more sequences of one length, one after the other, of which some rows may be padding.
#[derive(Debug, Clone)]
pub struct Rows {
    total: usize,
    sequences: usize,
    valid: Option<ValidRows>,
}

impl Rows {
    /// `total` rows in `sequences` sequences of `total / sequences` rows each; all are tokens where `valid` is absent.
    ///
    /// # Panics
    /// The rows do not divide into so many sequences.
    pub fn new(total: usize, sequences: usize, valid: Option<ValidRows>) -> Self {
        assert!(sequences > 0 && total.is_multiple_of(sequences), "{total} rows are not {sequences} sequences");
        Self { total, sequences, valid }
    }

    /// T.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The same for tensors with autodiff.
    pub(crate) fn tracked(&self) -> Self {
        let tracked = |rows: &ValidRows| ValidRows { mask: Tensor::from_inner(rows.mask.clone()), count: rows.count };
        Self { valid: self.valid.as_ref().map(tracked), ..*self }
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.sequences
    }

    /// Number of tokens.
    pub fn count(&self) -> usize {
        self.valid.as_ref().map_or(self.total, |valid| valid.count)
    }

    /// `[T, N]` with 0 in every row that is padding.
    pub fn masked(&self, values: Tensor<2>) -> Tensor<2> {
        match &self.valid {
            None => values,
            Some(valid) => values * valid.mask.clone(),
        }
    }

    /// The sum over the tokens: `[T, N]` to `[1, N]`.
    pub fn sum(&self, values: Tensor<2>) -> Tensor<2> {
        match &self.valid {
            None => values.sum_dim(0),
            Some(valid) => weighted_sum(values, valid.mask.clone()),
        }
    }

    /// The rows by sequence: `[T, N]` to `[sequences, T / sequences, N]`.
    pub fn by_sequence(&self, values: Tensor<2>) -> Tensor<3> {
        let [rows, columns] = values.dims();
        values.reshape([self.sequences, rows / self.sequences, columns])
    }

    /// Tokens of each sequence, `[sequences, 1, 1]`.
    pub fn counts_by_sequence(&self, device: &Device) -> Tensor<3> {
        let ones = Tensor::ones([self.total, 1], device);
        self.by_sequence(self.masked(ones)).sum_dim(1)
    }
}
