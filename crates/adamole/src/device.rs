//! Devices by name. The libraries work on whatever device they are handed; here one is chosen among the backends that
//! were built in.

use burn::tensor::Device;

/// A device that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The name means nothing.
    #[error("device {name} is unknown, expected auto, cpu, wgpu, vulkan, cuda or cuda:INDEX")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The backend was left out when the program was built.
    #[error("device {name} is not built into this program")]
    NotBuiltIn {
        /// What was asked for.
        name: String,
        /// The cargo feature that builds it in.
        feature: &'static str,
    },
}

/// The device of this name, without autodiff.
///
/// `auto` is the first of cuda, vulkan, wgpu and cpu that is built in.
///
/// # Errors
/// The name is unknown, or its backend is not built in.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    let (kind, index) = name.split_once(':').map_or((name, None), |(kind, index)| (kind, Some(index)));
    let unknown = || DeviceError::Unknown { name: name.to_owned() };
    let index: Option<usize> = index.map(|text| text.parse().map_err(|_| unknown())).transpose()?;
    match (kind, index) {
        ("auto", None) => {
            Ok(["cuda", "vulkan", "wgpu", "cpu"].iter().find_map(|name| backend(name, None).ok()).unwrap_or_default())
        }
        ("cpu" | "wgpu" | "vulkan", None) | ("cuda", _) => backend(kind, index),
        _ => Err(unknown()),
    }
}

#[allow(unused_variables, unreachable_patterns)]
fn backend(kind: &str, index: Option<usize>) -> Result<Device, DeviceError> {
    match kind {
        #[cfg(feature = "flex")]
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(Default::default())),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(Default::default())),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(index.unwrap_or(0))),
        _ => {
            let feature = ["cuda", "vulkan", "wgpu"].into_iter().find(|name| *name == kind).unwrap_or("flex");
            Err(DeviceError::NotBuiltIn { name: kind.to_owned(), feature })
        }
    }
}

/// Whether `device` is the CPU, where micro-batches are best run side by side.
pub fn is_cpu(name: &str) -> bool {
    name == "cpu" || (name == "auto" && !cfg!(any(feature = "wgpu", feature = "vulkan", feature = "cuda")))
}
