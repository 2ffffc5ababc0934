//! A list of the devices that are present.

use super::Kind;
use adamole::experiments::machine;
use burn::tensor::{DType, Device};
use serde::Serialize;

/// A device that is built in and present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// The name that opens it.
    pub name: String,
    /// The name that the hardware gives itself.
    pub description: String,
    /// Its memory in bytes, where that is known.
    pub memory_bytes: Option<u64>,
    /// Types of the frozen weights that it can compute with.
    pub dtypes: Vec<&'static str>,
    /// Whether it is emulated on the processor.
    pub is_software: bool,
}

/// Every device that is built in and present. Opens all of them.
pub fn list() -> Vec<DeviceInfo> {
    let devices = Kind::ALL
        .into_iter()
        .flat_map(|kind| kind.present().into_iter().enumerate().map(move |(index, device)| info(kind, index, &device)));
    devices.collect()
}

fn info(kind: Kind, index: usize, device: &Device) -> DeviceInfo {
    let types = [(DType::F32, "float32"), (DType::BF16, "bfloat16"), (DType::F16, "float16")];
    let dtypes = types.into_iter().filter(|(dtype, _)| device.supports_dtype(*dtype)).map(|(_, name)| name);
    let dtypes = dtypes.collect();
    match kind {
        Kind::Cpu => DeviceInfo {
            name: kind.name().into(),
            description: machine::processor(),
            memory_bytes: machine::memory_bytes(),
            dtypes,
            is_software: false,
        },
        _ => DeviceInfo {
            name: format!("{}:{index}", kind.name()),
            description: identity(device),
            memory_bytes: memory_of(device),
            dtypes,
            is_software: !is_card(device),
        },
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
mod cards {
    use crate::device::memory;
    use adamole::experiments::machine;
    use burn::tensor::Device;

    pub(in crate::device) fn is_card(device: &Device) -> bool {
        device.identity().is_some_and(|identity| identity.physical.is_some())
    }

    pub(super) fn identity(device: &Device) -> String {
        device.identity().map(|identity| identity.name).unwrap_or_default()
    }

    /// A GPU's own memory; of one that is emulated, the machine's.
    pub(super) fn memory_of(device: &Device) -> Option<u64> {
        match device.identity()?.physical {
            Some(card) => memory::of_card(&card.pci_address?.to_string()),
            None => machine::memory_bytes(),
        }
    }
}

#[cfg(not(any(feature = "wgpu", feature = "vulkan", feature = "cuda")))]
mod cards {
    use burn::tensor::Device;

    pub(in crate::device) fn is_card(_: &Device) -> bool {
        false
    }

    pub(super) fn identity(_: &Device) -> String {
        String::new()
    }

    pub(super) fn memory_of(_: &Device) -> Option<u64> {
        None
    }
}

pub(super) use cards::is_card;
use cards::{identity, memory_of};
