//! The rows of a flattened input: which are tokens, and which sequence each belongs to.

use adamole_kernels::weighted_sum;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use std::sync::Arc;

/// The rows of the flattened input that are tokens and not padding.
#[derive(Debug, Clone)]
pub struct ValidRows {
    /// `[T, 1]`: 1 for a token, 0 for padding.
    pub mask: Tensor<2>,
    /// Number of ones in the mask.
    pub count: usize,
}

/// The layout of T rows: one or more sequences, one after the other, of which some rows may be padding.
#[derive(Debug, Clone)]
pub struct Rows {
    total: usize,
    sequences: Sequences,
    valid: Option<ValidRows>,
}

#[derive(Debug, Clone)]
enum Sequences {
    /// So many of one length.
    Alike(usize),
    Packed(Arc<Packed>),
}

/// Sequences of different lengths without padding between them.
#[derive(Debug, Clone)]
struct Packed {
    count: usize,
    /// The length of the longest.
    longest: usize,
    /// The row of each place in `[count, longest]`; any row where there is none.
    rows: Tensor<1, Int>,
    /// 1 where there is one, `[count longest, 1]`.
    is_row: Tensor<2>,
    /// The place of each row; any place for the padding after the last sequence.
    places: Tensor<1, Int>,
}

impl Rows {
    /// `total` rows in `sequences` sequences of `total / sequences` rows each; all are tokens where `valid` is absent.
    ///
    /// # Panics
    /// The rows do not divide into so many sequences.
    pub fn new(total: usize, sequences: usize, valid: Option<ValidRows>) -> Self {
        assert!(sequences > 0 && total.is_multiple_of(sequences), "{total} rows are not {sequences} sequences");
        Self { total, sequences: Sequences::Alike(sequences), valid }
    }

    /// The rows of a batch `[B, T]` with padding: B sequences of T rows each, of which those with true are tokens. The mask is
    /// on the device of the input.
    pub fn of_token_mask(mask: Tensor<2, Bool>) -> Self {
        let [sequences, length] = mask.dims();
        let count = mask.clone().int().sum().into_scalar::<i64>();
        let mask = mask.float().reshape([sequences * length, 1]);
        Self::new(sequences * length, sequences, Some(ValidRows { mask, count: count as usize }))
    }

    /// `total` rows: sequences of these lengths, all of them tokens, and padding after the last.
    ///
    /// # Panics
    /// There is no sequence, or the sequences have more rows.
    pub fn packed(total: usize, lengths: &[usize], device: &Device) -> Self {
        let count: usize = lengths.iter().sum();
        assert!(!lengths.is_empty() && count <= total, "{total} rows do not hold sequences of {lengths:?}");
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (mut rows, mut is_row, mut places) = (Vec::new(), Vec::new(), vec![0; total]);
        let mut start = 0;
        for (sequence, length) in lengths.iter().enumerate() {
            for index in 0..longest {
                let is_there = index < *length;
                rows.push(if is_there { start + index } else { 0 } as i32);
                is_row.push(f32::from(u8::from(is_there)));
                if is_there {
                    places[start + index] = (sequence * longest + index) as i32;
                }
            }
            start += length;
        }
        let integers = |values: Vec<i32>| {
            let length = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [length]), device)
        };
        let column = |values: Vec<f32>| {
            let length = values.len();
            Tensor::<2>::from_data(TensorData::new(values, [length, 1]), device)
        };
        let valid = (count < total).then(|| {
            let mask = (0..total).map(|row| f32::from(u8::from(row < count))).collect();
            ValidRows { mask: column(mask), count }
        });
        let (rows, is_row, places) = (integers(rows), column(is_row), integers(places));
        let packed = Packed { count: lengths.len(), longest, rows, is_row, places };
        Self { total, sequences: Sequences::Packed(Arc::new(packed)), valid }
    }

    /// T.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The same for tensors with autodiff.
    pub(crate) fn tracked(&self) -> Self {
        let tracked = |rows: &ValidRows| ValidRows { mask: Tensor::from_inner(rows.mask.clone()), count: rows.count };
        let sequences = match &self.sequences {
            Sequences::Alike(count) => Sequences::Alike(*count),
            Sequences::Packed(packed) => Sequences::Packed(Arc::new(Packed {
                count: packed.count,
                longest: packed.longest,
                rows: Tensor::from_inner(packed.rows.clone()),
                is_row: Tensor::from_inner(packed.is_row.clone()),
                places: Tensor::from_inner(packed.places.clone()),
            })),
        };
        Self { total: self.total, sequences, valid: self.valid.as_ref().map(tracked) }
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        match &self.sequences {
            Sequences::Alike(count) => *count,
            Sequences::Packed(packed) => packed.count,
        }
    }

    /// Number of tokens.
    pub fn count(&self) -> usize {
        self.valid.as_ref().map_or(self.total, |valid| valid.count)
    }

    /// `[T, 1]`: 1 for a token, 0 for padding; `None` where all rows are tokens.
    pub(crate) fn mask(&self) -> Option<Tensor<2>> {
        self.valid.as_ref().map(|valid| valid.mask.clone())
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

    /// The rows by sequence: `[T, N]` to `[sequences, longest, N]`, with 0 where a sequence has no row.
    pub fn by_sequence(&self, values: Tensor<2>) -> Tensor<3> {
        let [rows, columns] = values.dims();
        match &self.sequences {
            Sequences::Alike(count) => values.reshape([*count, rows / count, columns]),
            Sequences::Packed(packed) => {
                let values = values.select(0, packed.rows.clone()) * packed.is_row.clone();
                values.reshape([packed.count, packed.longest, columns])
            }
        }
    }

    /// What [`Rows::by_sequence`] was made of: `[sequences, longest, N]` to `[T, N]`, with 0 in the padding of a pack.
    pub fn by_row(&self, values: Tensor<3>) -> Tensor<2> {
        let [sequences, longest, columns] = values.dims();
        let values = values.reshape([sequences * longest, columns]);
        match &self.sequences {
            Sequences::Alike(_) => values,
            Sequences::Packed(packed) => self.masked(values.select(0, packed.places.clone())),
        }
    }

    /// Tokens of each sequence, `[sequences, 1, 1]`.
    pub fn counts_by_sequence(&self, device: &Device) -> Tensor<3> {
        match (&self.sequences, &self.valid) {
            (Sequences::Alike(count), None) => Tensor::full([*count, 1, 1], (self.total / count) as f32, device),
            _ => self.by_sequence(self.masked(Tensor::ones([self.total, 1], device))).sum_dim(1),
        }
    }
}
