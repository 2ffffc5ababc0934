//! The precision of products with adapters on a GPU.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::atomic::{AtomicU8, Ordering},
};

/// The type of the operands where a float32 adapter meets activations of 16 bits on a GPU. Parameters, sums and results are float32
/// in either case. The CPU widens what it reads, whatever is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum AdapterProducts {
    /// That of the activations where it is bfloat16, which has the range of float32; float32 where it is float16.
    #[default]
    Mixed,
    /// Float32, with all its digits: no product of float32 rounds operands to TF32 for tensor cores, those of a float32 base
    /// neither.
    Float32,
    /// That of the activations.
    Narrow,
}

static CHOSEN: AtomicU8 = AtomicU8::new(AdapterProducts::Mixed as u8);

impl AdapterProducts {
    const ALL: [Self; 3] = [Self::Mixed, Self::Float32, Self::Narrow];

    /// Makes this the choice of the process, like torch's `allow_tf32`.
    pub fn choose(self) {
        CHOSEN.store(self as u8, Ordering::Relaxed);
    }

    /// The choice of the process.
    pub fn chosen() -> Self {
        let chosen = CHOSEN.load(Ordering::Relaxed);
        Self::ALL.into_iter().find(|it| *it as u8 == chosen).unwrap_or_default()
    }

    /// Whether this is what a process does that chose nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for AdapterProducts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mixed => "mixed",
            Self::Float32 => "float32",
            Self::Narrow => "narrow",
        })
    }
}
