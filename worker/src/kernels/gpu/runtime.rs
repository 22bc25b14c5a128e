//! How kernels are compiled, and where what was learnt about them is kept.

use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig, compilation::BoundsCheckMode};
use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher as _},
    path::{Path, PathBuf},
    sync::Once,
};

static ONCE: Once = Once::new();

/// Where the driver tells about itself and its cards.
const DRIVER: &str = "/proc/driver/nvidia";

/// Keeps compiled kernels, and which of them are the fastest for a shape, in a folder that jobs share: below `LC_GPU_CACHE`,
/// or `lc-worker` in the user's folder for caches, one for what they [hold for](key). Must be called before a device is used;
/// a second call does nothing.
///
/// The library locks its tables there while it writes them, but not `chunk0.cbor` with the kernels: jobs append to it, which
/// keeps them apart on a local disk, and on NFS only where they are on one node. What was damaged so is left out and compiled
/// anew.
pub fn configure() {
    set(BoundsCheckMode::Auto);
}

/// As [`configure`], and every kernel looks whether it stays within its arrays: for tests.
#[cfg(test)]
pub(crate) fn configure_checked() {
    set(BoundsCheckMode::Validate);
}

fn set(checks: BoundsCheckMode) {
    ONCE.call_once(|| {
        let folder = folder().join(key(Path::new(DRIVER)));
        // A cubecl.toml and the variables of the library are read as usual.
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config.autotune.cache = CacheConfig::File(folder.clone());
        config.compilation.cache = Some(CacheConfig::File(folder));
        config.compilation.check_mode = checks;
        CubeClRuntimeConfig::set(config);
    });
}

fn folder() -> PathBuf {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("LC_GPU_CACHE").unwrap_or_else(|| {
        let caches = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
        caches.unwrap_or_else(env::temp_dir).join("lc-worker")
    })
}

/// A name for what compiled kernels hold for, and what was learnt about them: the sources of this program's kernels, the
/// compiler, the driver and the kinds of cards. The library itself tells kernels apart by their names and parameters.
fn key(driver: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    env!("LC_KERNELS").hash(&mut hasher);
    env::var_os("CUDA_PATH").hash(&mut hasher);
    fs::read(driver.join("version")).ok().hash(&mut hasher);
    models(driver).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The kinds of cards that there are, each once.
fn models(driver: &Path) -> Vec<String> {
    let cards = fs::read_dir(driver.join("gpus")).into_iter().flatten().flatten();
    let about = cards.filter_map(|card| fs::read_to_string(card.path().join("information")).ok());
    let model =
        |about: String| about.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()));
    let mut models: Vec<String> = about.filter_map(model).collect();
    models.sort();
    models.dedup();
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_card_or_driver_has_kernels_of_its_own() {
        let machine = |version: &str, cards: &[&str]| {
            let driver = tempfile::tempdir().unwrap();
            fs::write(driver.path().join("version"), version).unwrap();
            for (at, model) in cards.iter().enumerate() {
                let card = driver.path().join("gpus").join(format!("0000:0{at}:00.0"));
                fs::create_dir_all(&card).unwrap();
                fs::write(card.join("information"), format!("Model: \t\t {model}\nIRQ:   \t\t 16\n"))
                    .unwrap();
            }
            driver
        };
        let one = machine("580", &["NVIDIA H200"]);
        assert_eq!(models(one.path()), ["NVIDIA H200"]);
        let several = machine("580", &["NVIDIA H200", "NVIDIA A100", "NVIDIA H200"]);
        assert_eq!(models(several.path()), ["NVIDIA A100", "NVIDIA H200"]);
        assert_eq!(models(Path::new("/no/driver")), [""; 0]);

        let of = |machine: &tempfile::TempDir| key(machine.path());
        assert_eq!(of(&one), of(&machine("580", &["NVIDIA H200", "NVIDIA H200"])));
        assert_ne!(of(&one), of(&machine("580", &["NVIDIA A100"])));
        assert_ne!(of(&one), of(&machine("590", &["NVIDIA H200"])));
        assert_eq!(of(&one).len(), 16);
    }
}
