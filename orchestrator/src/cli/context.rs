//! What every command starts from: the root of the studies, the user's configuration, the output.

use super::{Global, failure::Failure, output::Output};
use crate::{
    config::{place, user::UserConfig},
    domain::layout::quoted,
};
use std::path::{Path, PathBuf};

/// The settings shared by all commands.
#[derive(Debug)]
pub(super) struct Context {
    /// `LC_ROOT`, absolute; it need not exist.
    pub root: PathBuf,
    /// Whether a flag or the environment named the root.
    pub root_given: bool,
    /// Whether a daemon may be started.
    pub may_start: bool,
    /// The user's configuration.
    pub user: UserConfig,
    /// Where answers go.
    pub out: Output,
}

impl Context {
    pub(super) fn new(global: &Global, out: Output) -> Result<Self, Failure> {
        let user = UserConfig::load()?;
        let given = global.root.clone().filter(|root| !root.as_os_str().is_empty());
        let root_given = given.is_some();
        let root = given.or_else(|| user.root.clone()).or_else(place::data).ok_or_else(|| {
            Failure::Usage("no home folder to keep studies in; say where with --root DIR or LC_ROOT".into())
        })?;
        let root = std::path::absolute(place::at_home(&root))
            .map_err(|error| Failure::Usage(format!("--root {}: {error}", root.display())))?;
        // The daemon knows itself by the canonical path: `/tmp/x` and its target are one root.
        let root = std::fs::canonicalize(&root).unwrap_or(root);
        Ok(Self { root, root_given, may_start: !global.no_start, user, out })
    }

    /// How to call this program so that it finds this root again, to be pasted into a shell.
    pub(super) fn command(&self, rest: &str) -> String {
        let default = self.user.root.clone().or_else(place::data);
        let found_anyway =
            std::env::var_os("LC_ROOT").map(|root| place::at_home(Path::new(&root))).or(default);
        if found_anyway.is_some_and(|root| std::fs::canonicalize(&root).unwrap_or(root) == self.root) {
            format!("{} {rest}", program())
        } else {
            format!("{} --root {} {rest}", program(), quoted(&self.root))
        }
    }
}

/// `lcctl`, or the path of this program where that name means another one or none.
fn program() -> String {
    let (Ok(own), Some(path)) = (std::env::current_exe(), std::env::var_os("PATH")) else {
        return "lcctl".to_owned();
    };
    let found = std::env::split_paths(&path).map(|folder| folder.join("lcctl")).find(|file| file.is_file());
    let is_own =
        found.is_some_and(|found| std::fs::canonicalize(found).ok() == std::fs::canonicalize(&own).ok());
    if is_own { "lcctl".to_owned() } else { quoted(&own) }
}
