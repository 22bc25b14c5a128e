//! How kernels are compiled, and where what was learnt about them is kept.

use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig, compilation::BoundsCheckMode};
use std::{env, path::PathBuf, sync::Once};

static ONCE: Once = Once::new();

/// Keeps compiled kernels, and which of them are the fastest for a shape, in a folder that jobs share: `LC_GPU_CACHE`,
/// or `lc-worker` in the user's folder for caches. Files are locked while they are written. Must be called before a device
/// is used; a second call does nothing.
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
        // A cubecl.toml and the variables of the library are read as usual.
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config.autotune.cache = CacheConfig::File(folder());
        config.compilation.cache = Some(CacheConfig::File(folder()));
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
