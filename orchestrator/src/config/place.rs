//! Folders of the user, after the XDG base directory specification.

use std::path::{Path, PathBuf};

/// A path with the user's home in place of a leading `~`, which no shell has replaced in a file or between quotes. What is
/// really called that is `./~`.
#[must_use]
pub fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

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

#[cfg(test)]
mod tests {
    use super::at_home;
    use std::path::Path;

    #[test]
    fn only_a_leading_tilde_is_the_home() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(at_home(Path::new("~/lc")), home.join("lc"));
        for other in ["/x/~/lc", "./~/lc", "~me/lc", "lc"] {
            assert_eq!(at_home(Path::new(other)), Path::new(other));
        }
    }
}
