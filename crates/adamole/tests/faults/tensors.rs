//! Safetensors files, read without the crates that are tested.

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{fs, path::Path};

/// One tensor with its bytes.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    pub(crate) data: Vec<u8>,
}

/// The tensors of a file, to be changed and written again.
pub(crate) struct Layout(pub(crate) Vec<Stored>);

impl Layout {
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let stored = |(name, view): (&str, TensorView<'_>)| Stored {
            name: name.to_owned(),
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            data: view.data().to_vec(),
        };
        Ok(Self(file.iter().map(stored).collect()))
    }

    /// The tensor of this name.
    pub(crate) fn named(&mut self, name: &str) -> Result<&mut Stored, String> {
        self.0.iter_mut().find(|stored| stored.name == name).ok_or_else(|| format!("no tensor {name}"))
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let named = self.0.iter().map(|stored| {
            let view = TensorView::new(stored.dtype, stored.shape.clone(), &stored.data).unwrap();
            (&stored.name, view)
        });
        safetensors::serialize(named, None).unwrap()
    }
}

/// Whether every tensor of `expected` is in `actual` to this tolerance. Leading dimensions of one do not matter, and
/// `expected` may hold only the first columns of a tensor.
pub(crate) fn close(actual: &Path, expected: &Path, tolerance: f64) -> Result<(), String> {
    let [actual_bytes, expected_bytes] =
        [actual, expected].map(|path| fs::read(path).map_err(|error| format!("{}: {error}", path.display())));
    let (actual_bytes, expected_bytes) = (actual_bytes?, expected_bytes?);
    let [actual_file, expected_file] =
        [&actual_bytes, &expected_bytes].map(|bytes| SafeTensors::deserialize(bytes).map_err(|e| e.to_string()));
    let (actual_file, expected_file) = (actual_file?, expected_file?);
    for (name, expected) in expected_file.iter() {
        let actual = actual_file.tensor(name).map_err(|error| format!("{}: {error}", actual.display()))?;
        let difference = largest_difference(&actual, &expected).map_err(|error| format!("{name}: {error}"))?;
        // Not `>`: a difference that is not a number is none that is allowed.
        if !matches!(difference.partial_cmp(&tolerance), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)) {
            return Err(format!("{name} differs by {difference:e}, allowed are {tolerance:e}"));
        }
    }
    Ok(())
}

fn largest_difference(actual: &TensorView<'_>, expected: &TensorView<'_>) -> Result<f64, String> {
    let columns = |view: &TensorView<'_>| view.shape().last().copied().unwrap_or(1);
    let rows = |view: &TensorView<'_>| view.shape().iter().rev().skip(1).product::<usize>();
    if rows(actual) != rows(expected) || columns(actual) < columns(expected) {
        return Err(format!("the shape is {:?}, expected {:?}", actual.shape(), expected.shape()));
    }
    if columns(expected) == 0 {
        return Ok(0.0);
    }
    let (actual_values, expected_values) = (floats(actual)?, floats(expected)?);
    let rows = actual_values.chunks(columns(actual)).zip(expected_values.chunks(columns(expected)));
    let differences = rows.flat_map(|(actual, expected)| actual.iter().zip(expected).map(|(a, e)| (a - e).abs()));
    Ok(differences.fold(0.0, |largest, d| if d.is_nan() { d } else { d.max(largest) }))
}

fn floats(view: &TensorView<'_>) -> Result<Vec<f64>, String> {
    fn each<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks().0.iter().map(|bytes| value(*bytes)).collect()
    }
    let data = view.data();
    match view.dtype() {
        Dtype::F64 => Ok(each(data, f64::from_le_bytes)),
        Dtype::F32 => Ok(each(data, |bytes| f32::from_le_bytes(bytes).into())),
        Dtype::F16 => Ok(each(data, |bytes| f16::from_le_bytes(bytes).into())),
        Dtype::BF16 => Ok(each(data, |bytes| bf16::from_le_bytes(bytes).into())),
        #[allow(clippy::cast_precision_loss, reason = "token ids and counts")]
        Dtype::I64 => Ok(each(data, |bytes| i64::from_le_bytes(bytes) as f64)),
        other => Err(format!("{other:?} is not compared")),
    }
}
