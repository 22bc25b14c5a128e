//! Which device a stage computes on: `auto`, `cpu`, `cuda`, `cuda:N` or `vulkan`.
//!
//! The GPUs' backends panic where there is no driver, so a GPU is looked for here, without them.

pub mod lost;

use crate::{Error, Result, report::Report};
use protocol::settings::Device as Choice;

/// A device that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, counted from 0 among those that `CUDA_VISIBLE_DEVICES` leaves visible.
    Cuda(usize),
    /// The first device that speaks Vulkan, which may be software.
    Vulkan,
}

impl Device {
    /// Its kind: `cpu`, `cuda` or `vulkan`. Work that goes on on another one ends in other bytes.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
            Self::Vulkan => "vulkan",
        }
    }

    /// Says so where work goes on that began on another kind of device, as far as that is known.
    pub fn compare(self, began: Option<&str>, report: &Report) {
        if let Some(began) = began.filter(|began| *began != self.kind()) {
            let now = self.kind();
            report.warn(format!(
                "began on {began}, goes on on {now}: its bytes will be those of neither alone"
            ));
        }
    }
}

/// Finds the device that `text` names, and says so where `auto` has to do without a GPU.
///
/// # Errors
/// When it is not a device's name, or names a GPU that this program can't use.
pub fn resolve(text: &str, report: &Report) -> Result<Device> {
    let choice = text.parse::<Choice>().map_err(|error| Error::input(format!("device: {error}")))?;
    let gpus = gpus();
    if choice == Choice::Auto
        && let Some(why) = missing(gpus)
    {
        let (reason, _) = why.split_once(';').unwrap_or((why, ""));
        report.info(format!("computing on the processor: {reason}"));
    }
    if choice == Choice::Vulkan {
        vulkan()?;
    }
    let device = choose(choice, gpus)?;
    #[cfg(feature = "gpu")]
    if device != Device::Cpu {
        crate::kernels::gpu::configure();
    }
    Ok(device)
}

/// GPUs that can be used, or why there are none.
type Gpus = std::result::Result<usize, &'static str>;

/// Why there is no GPU, if there is none.
const fn missing(gpus: Gpus) -> Option<&'static str> {
    match gpus {
        Err(why) => Some(why),
        Ok(0) => {
            Some("no CUDA device is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu")
        }
        Ok(_) => None,
    }
}

fn choose(choice: Choice, gpus: Gpus) -> Result<Device> {
    match (choice, missing(gpus), gpus) {
        (Choice::Cpu, ..) | (Choice::Auto, Some(_), _) => Ok(Device::Cpu),
        (Choice::Auto, None, _) => Ok(Device::Cuda(0)),
        (Choice::Vulkan, ..) => Ok(Device::Vulkan),
        (Choice::Cuda(_), Some(why), _) => Err(Error::input(why)),
        (Choice::Cuda(index), None, Ok(count)) if index as usize >= count => Err(Error::input(format!(
            "device cuda:{index}: visible are cuda:0 to cuda:{}; use one of them, or --device cpu",
            count - 1
        ))),
        (Choice::Cuda(index), None, _) => Ok(Device::Cuda(index as usize)),
    }
}

#[cfg(not(feature = "cuda"))]
const fn gpus() -> Gpus {
    Err("this lc-worker was built without CUDA; build one with `make cuda` or use --device cpu")
}

#[cfg(feature = "cuda")]
use probe::gpus;

#[cfg(not(feature = "vulkan"))]
const NO_VULKAN: &str =
    "this lc-worker was built without Vulkan; build with --features vulkan or use --device cpu";

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<()> {
    Err(Error::input(NO_VULKAN))
}

#[cfg(feature = "vulkan")]
use probe::vulkan;

/// Looks for the drivers' libraries and the devices where Linux puts them.
#[cfg(feature = "gpu")]
mod probe {
    #[cfg(feature = "cuda")]
    use super::{Gpus, visible};
    #[cfg(feature = "vulkan")]
    use crate::{Error, Result};
    use std::{fs, path::Path};

    /// Folders with a file for each Vulkan driver.
    #[cfg(feature = "vulkan")]
    const DRIVER_FOLDERS: [&str; 3] =
        ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];

    #[cfg(feature = "vulkan")]
    pub(super) fn vulkan() -> Result<()> {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let driver = |folder: &&str| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if !has_library("libvulkan.so.1") {
            return Err(Error::input(
                "libvulkan.so.1 was not found; install it (Debian: libvulkan1), or use --device cpu",
            ));
        }
        let named = set("VK_DRIVER_FILES") || set("VK_ICD_FILENAMES");
        if !named && !DRIVER_FOLDERS.iter().any(driver) {
            return Err(Error::input(
                "there is no Vulkan driver; install one (Debian, in software: mesa-vulkan-drivers), or use \
                 --device cpu",
            ));
        }
        Ok(())
    }

    /// Where the driver's library lies on the usual distributions, in containers and on clusters.
    const LIBRARY_FOLDERS: [&str; 9] = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/lib64",
        "/usr/local/cuda/compat",
        "/usr/local/nvidia/lib64",
        "/usr/lib/wsl/lib",
        "/run/opengl-driver/lib",
    ];

    #[cfg(feature = "cuda")]
    pub(super) fn gpus() -> Gpus {
        if !has_library("libcuda.so.1") {
            return Err(
                "the NVIDIA driver's libcuda.so.1 was not found; install the driver, add its folder to \
                 LD_LIBRARY_PATH, or use --device cpu",
            );
        }
        let devices = devices();
        Ok(std::env::var("CUDA_VISIBLE_DEVICES").map_or(devices, |list| visible(&list, devices)))
    }

    fn has_library(name: &str) -> bool {
        let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .filter(|folder| !folder.as_os_str().is_empty())
            .chain(LIBRARY_FOLDERS.iter().map(|folder| Path::new(folder).to_owned()))
            .any(|folder| folder.join(name).exists())
            // The loader's cache names every library that it finds elsewhere.
            || fs::read("/etc/ld.so.cache").is_ok_and(|cache| {
                let entry = format!("{name}\0");
                cache.windows(entry.len()).any(|bytes| bytes == entry.as_bytes())
            })
    }

    #[cfg(feature = "cuda")]
    fn devices() -> usize {
        let entries = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten();
        let numbered = entries("/dev")
            .filter(|entry| {
                let name = entry.file_name();
                name.to_str()
                    .and_then(|name| name.strip_prefix("nvidia"))
                    .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
            })
            .count();
        if numbered > 0 { numbered } else { entries("/proc/driver/nvidia/gpus").count() }
    }
}

/// How many of `devices` a value of `CUDA_VISIBLE_DEVICES` leaves: those before the first invalid entry.
#[cfg(any(test, feature = "cuda"))]
fn visible(list: &str, devices: usize) -> usize {
    list.split(',')
        .map(str::trim)
        .take_while(|entry| match entry.parse::<i64>() {
            Ok(index) => usize::try_from(index).is_ok_and(|index| index < devices),
            Err(_) => entry.starts_with("GPU-") || entry.starts_with("MIG-"),
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_a_gpu_only_where_there_is_one() {
        assert_eq!(choose(Choice::Auto, Ok(2)).unwrap(), Device::Cuda(0));
        assert_eq!(choose(Choice::Auto, Ok(0)).unwrap(), Device::Cpu);
        assert_eq!(choose(Choice::Auto, Err("no driver")).unwrap(), Device::Cpu);
        assert_eq!(choose(Choice::Cpu, Ok(2)).unwrap(), Device::Cpu);
    }

    #[test]
    fn why_there_is_no_gpu_is_told() {
        assert!(missing(Ok(0)).unwrap().starts_with("no CUDA device is visible;"));
        assert_eq!((missing(Err("no driver")), missing(Ok(1))), (Some("no driver"), None));
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_with_what_to_do() {
        assert_eq!(choose(Choice::Cuda(1), Ok(2)).unwrap(), Device::Cuda(1));
        for gpus in [Ok(0), Ok(1), Err("no driver; use --device cpu")] {
            let error = choose(Choice::Cuda(1), gpus).unwrap_err();
            assert_eq!(error.exit_code(), protocol::exit::USAGE);
            assert!(error.to_string().contains("--device cpu"), "{error}");
        }
    }

    #[test]
    fn hidden_gpus_do_not_count() {
        assert_eq!(visible("0,1", 4), 2);
        assert_eq!(visible("", 4), 0);
        assert_eq!(visible("-1", 4), 0);
        assert_eq!(visible("2,7,1", 4), 1);
        assert_eq!(visible("GPU-8f3, MIG-22a", 4), 2);
    }
}
