//! The user's own configuration: `$XDG_CONFIG_HOME/lcctl/config.toml`.

use super::{
    executor::ExecutorName,
    file::{self, FileError},
    place,
    study::{Layer, Sections},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What a user sets once. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    root: Option<PathBuf>,
    #[serde(deserialize_with = "written_address")]
    listen: Option<SocketAddr>,
    slots: Option<u32>,
    worker: Option<PathBuf>,
    executor: Option<ExecutorName>,
    profile: Option<String>,
    study: Option<Sections>,
}

/// Where a daemon listens.
///
/// # Errors
/// When the text is no address with a port: what is accepted.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an address in numbers and a port, for example 127.0.0.1:8642".to_owned())
}

fn written_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    address(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

/// The user's configuration, with paths made absolute against its folder.
#[derive(Debug, Default)]
pub struct UserConfig {
    /// Folder of all studies.
    pub root: Option<PathBuf>,
    /// Address of the daemon.
    pub listen: Option<SocketAddr>,
    /// Workers at once.
    pub slots: Option<u32>,
    /// The worker program.
    pub worker: Option<PathBuf>,
    /// Where stages run.
    pub executor: Option<ExecutorName>,
    /// The cluster's profile: a name or a file.
    pub profile: Option<String>,
    /// Defaults of every study.
    pub study: Option<Layer>,
}

impl UserConfig {
    /// Reads the user's configuration; empty if there is none.
    ///
    /// # Errors
    /// When the file exists but can't be read, or holds what is not accepted.
    pub fn load() -> Result<Self, FileError> {
        match place::user_config().filter(|path| path.exists()) {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it can't be read, or holds what is not accepted.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = file::text(path)?;
        let written: Written = file::parse(path, &text)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let study = match written.study {
            Some(_) => Some(Layer::of_user(path, &text)?),
            None => None,
        };
        Ok(Self {
            root: written.root.map(|root| folder.join(place::at_home(&root))),
            listen: written.listen,
            slots: written.slots,
            worker: written.worker.map(|worker| folder.join(place::at_home(&worker))),
            executor: written.executor,
            profile: written.profile.map(|profile| {
                let file = folder.join(place::at_home(Path::new(&profile)));
                if file.exists() { file.display().to_string() } else { profile }
            }),
            study,
        })
    }
}
