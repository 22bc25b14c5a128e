//! Where the stages of a root run: what `LC_ROOT/executor.json` remembers of the daemon that changed it last.
//!
//! A daemon that is started without a word about it runs stages on its own machine. On a cluster that would be the
//! login node: a root that was served with a cluster's queue is not served otherwise by default.

use super::profile::Profile;
use crate::domain::layout::Layout;
use serde::{Deserialize, Serialize};

/// Where stages run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorName {
    /// As processes of this machine.
    #[default]
    Local,
    /// In the queue of a Slurm cluster.
    Slurm,
}

impl ExecutorName {
    /// Its name in flags, files and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Slurm => "slurm",
        }
    }
}

/// What a root was served with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Where stages ran.
    pub executor: ExecutorName,
    /// The cluster's profile: its name or its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl Served {
    /// What a daemon with this profile, or with none, serves a root with.
    #[must_use]
    pub fn with(cluster: Option<&Profile>) -> Self {
        match cluster {
            Some(profile) => Self { executor: ExecutorName::Slurm, profile: Some(profile.name.clone()) },
            None => Self { executor: ExecutorName::Local, profile: None },
        }
    }

    /// What is remembered; none where no daemon has served the root.
    #[must_use]
    pub fn read(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(layout.executor_file()).ok()?).ok()
    }
}
