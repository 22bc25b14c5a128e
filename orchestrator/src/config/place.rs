//! Folders of the user, after the XDG base directory specification.

use std::path::PathBuf;

/// `$XDG_CONFIG_HOME/lcctl/config.toml`, wherever that is; none without a home.
#[must_use]
pub fn user_config() -> Option<PathBuf> {
    Some(base("XDG_CONFIG_HOME", ".config")?.join("lcctl/config.toml"))
}

/// `$XDG_DATA_HOME/linguistic-collapse`, where studies lie by default; none without a home.
#[must_use]
pub fn data() -> Option<PathBuf> {
    Some(base("XDG_DATA_HOME", ".local/share")?.join("linguistic-collapse"))
}

/// The specification says: a relative path in the variable is to be ignored.
fn base(variable: &str, under_home: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(std::env::home_dir()?.join(under_home)))
}
