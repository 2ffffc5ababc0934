//! Devices by name. The libraries work on any device; the program chooses one of the backends that are built in.

mod listing;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
mod memory;

pub use listing::{DeviceInfo, list};

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
use burn::tensor::DeviceType;

/// A kind of device: a backend that can be built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The processor.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// GPUs through SPIR-V.
    Vulkan,
    /// GPUs through WGSL.
    Wgpu,
}

impl Kind {
    /// All of them, in the order in which `auto` prefers them, the processor last.
    pub const ALL: [Self; 4] = [Self::Cuda, Self::Vulkan, Self::Wgpu, Self::Cpu];

    /// Its name in `--device`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
        }
    }

    /// The cargo feature that builds it in.
    pub fn feature(self) -> &'static str {
        if self == Self::Cpu { "flex" } else { self.name() }
    }

    /// Whether it is built in.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Cpu => cfg!(feature = "flex"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Wgpu => cfg!(feature = "wgpu"),
        }
    }

    /// The devices of this kind that are present, in the order of their indices; none where it is not built in.
    fn present(self) -> Vec<Device> {
        match self {
            #[cfg(feature = "flex")]
            Self::Cpu => vec![Device::flex()],
            #[cfg(feature = "cuda")]
            Self::Cuda => Device::enumerate(DeviceType::Cuda).into_vec(),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Device::enumerate(DeviceType::Vulkan).into_vec(),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Device::enumerate(DeviceType::Wgpu).into_vec(),
            #[allow(unreachable_patterns)]
            _ => Vec::new(),
        }
    }
}

/// A device that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The name is not one of a device.
    #[error(
        "device {name} is unknown, expected auto, cpu, cuda, vulkan or wgpu, the last three with :INDEX or without"
    )]
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
    /// The backend is built in, but the machine has no such device.
    #[error("device {name} is not present: this machine has {found} of its kind")]
    NotPresent {
        /// What was asked for.
        name: String,
        /// Its kind.
        kind: Kind,
        /// Devices of this kind that are present.
        found: usize,
    },
    /// Several devices that do not share a backend.
    #[error("devices {names} are of different kinds, expected one kind: they share every step")]
    Mixed {
        /// What was asked for.
        names: String,
    },
}

/// The device of this name, without autodiff: `cpu`, `cuda`, `vulkan` or `wgpu`, of the last three the first one or, with
/// `:INDEX`, another.
///
/// `auto` is the first GPU among cuda, vulkan and wgpu, and the CPU where there is none. A GPU that is emulated in software
/// is used only when it is named.
///
/// # Errors
/// The name is unknown, its backend is not built in, or the machine has no such device.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    let not_built_in = |feature| DeviceError::NotBuiltIn { name: name.to_owned(), feature };
    if name == "auto" {
        return automatic().ok_or_else(|| not_built_in(Kind::Cpu.feature()));
    }
    let (kind, index) = name.split_once(':').map_or((name, None), |(kind, index)| (kind, Some(index)));
    let unknown = || DeviceError::Unknown { name: name.to_owned() };
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(unknown)?;
    let index: usize = match index {
        None => 0,
        Some(_) if kind == Kind::Cpu => return Err(unknown()),
        Some(index) => index.parse().map_err(|_| unknown())?,
    };
    if !kind.is_built_in() {
        return Err(not_built_in(kind.feature()));
    }
    let mut present = kind.present();
    match index < present.len() {
        true => Ok(present.swap_remove(index)),
        false => Err(DeviceError::NotPresent { name: name.to_owned(), kind, found: present.len() }),
    }
}

/// The devices of these names, separated by commas. The first is the main one.
///
/// # Errors
/// Those of [`open`], or the devices are of different kinds.
pub fn open_several(names: &str) -> Result<Vec<Device>, DeviceError> {
    let kinds: Vec<&str> = names.split(',').map(|name| name.split(':').next().unwrap_or(name)).collect();
    if kinds.iter().any(|kind| *kind != kinds[0]) {
        return Err(DeviceError::Mixed { names: names.to_owned() });
    }
    names.split(',').map(open).collect()
}

/// The name of the device of one of several processes of a machine, `index`: of GPUs that are named without an index it has that
/// one, so that each process has its own.
pub fn of_process(name: &str, index: usize) -> String {
    let has_cards = |kind: &Kind| *kind != Kind::Cpu && kind.present().iter().any(listing::is_card);
    let kind = match name {
        "auto" => Kind::ALL.into_iter().find(has_cards),
        name => Kind::ALL.into_iter().find(|kind| *kind != Kind::Cpu && kind.name() == name),
    };
    kind.map_or_else(|| name.to_owned(), |kind| format!("{}:{index}", kind.name()))
}

fn automatic() -> Option<Device> {
    let present = |kinds: &[Kind]| kinds.iter().flat_map(|kind| kind.present()).collect::<Vec<_>>();
    let [gpus @ .., cpu] = &Kind::ALL;
    let gpus = present(gpus);
    gpus.iter()
        .find(|device| listing::is_card(device))
        .cloned()
        .or_else(|| present(&[*cpu]).pop())
        .or(gpus.into_iter().next())
}

/// Whether this is the CPU, where micro-batches run in parallel.
#[cfg(feature = "flex")]
pub fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// Whether this is the CPU, where micro-batches run in parallel.
#[cfg(not(feature = "flex"))]
pub fn is_cpu(_: &Device) -> bool {
    false
}

/// Whether a name is the CPU's; the device need not be present, nor built in.
pub fn names_cpu(name: &str) -> bool {
    match name {
        "auto" => automatic().is_none_or(|device| is_cpu(&device)),
        name => name == Kind::Cpu.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused() {
        for name in ["abacus", "", "cpu:0", "cuda:", "cuda:first", "auto:1", "cuda:-1"] {
            assert_eq!(open(name).err(), Some(DeviceError::Unknown { name: name.into() }), "{name}");
        }
    }

    #[test]
    fn each_process_of_a_machine_has_a_gpu_of_its_own() {
        let names = ["cuda", "vulkan", "wgpu:1", "cpu"].map(|name| of_process(name, 3));
        assert_eq!(names, ["cuda:3", "vulkan:3", "wgpu:1", "cpu"]);
    }

    #[test]
    fn a_backend_that_is_not_built_in_and_an_absent_device_are_told_apart() {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Cpu) {
            let name = format!("{}:99", kind.name());
            match open(&name).err() {
                Some(DeviceError::NotBuiltIn { feature, .. }) => {
                    assert!(!kind.is_built_in() && feature == kind.name());
                }
                Some(DeviceError::NotPresent { found, .. }) => assert!(kind.is_built_in() && found < 99),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_device_of_the_list_opens() {
        for info in list() {
            assert!(open(&info.name).is_ok(), "{info:?}");
        }
    }
}
