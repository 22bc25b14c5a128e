//! Where stages are to run: what flags, environment and configuration ask for, and whether that is what the root's
//! daemon does.

use super::{context::Context, failure::Failure};
use crate::{
    config::{
        executor::{ExecutorName, Served},
        place,
        profile::Profile,
        user::UserConfig,
    },
    domain::layout::Layout,
};
use clap::{Args, ValueEnum as _, ValueHint};
use protocol::view::Health;

const EXECUTOR_VARIABLE: &str = "LC_EXECUTOR";
const PROFILE_VARIABLE: &str = "LC_PROFILE";

/// Where stages run.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ClusterFlags {
    /// Where stages run: local (processes of this machine) or slurm (a cluster's queue) [default: slurm with a
    /// profile, else local]
    #[arg(
        long,
        value_name = "WHERE",
        env = EXECUTOR_VARIABLE,
        hide_env_values = true,
        hide_possible_values = true
    )]
    executor: Option<ExecutorName>,
    /// The cluster's profile: generic, preemptible, or a file
    #[arg(long, value_name = "NAME|FILE", env = PROFILE_VARIABLE, hide_env_values = true, value_hint = ValueHint::FilePath)]
    profile: Option<String>,
}

/// What is asked for in so many words, each with what asks for it.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    executor: (ExecutorName, String),
    profile: Option<(String, String)>,
}

impl ClusterFlags {
    /// What the environment says, for commands without these flags.
    ///
    /// # Errors
    /// When it names no executor.
    pub(super) fn of_environment() -> Result<Self, Failure> {
        let executor = match set(EXECUTOR_VARIABLE) {
            None => None,
            Some(word) => Some(ExecutorName::from_str(&word, false).map_err(|_| {
                Failure::Usage(format!("{EXECUTOR_VARIABLE}={word} is not accepted; use local or slurm"))
            })?),
        };
        Ok(Self { executor, profile: set(PROFILE_VARIABLE) })
    }

    /// The profile of the cluster, if stages run in its queue.
    ///
    /// # Errors
    /// When it can't be read, holds what is not accepted, or nothing asks for a cluster and the root was served with
    /// one.
    pub(super) fn profile(&self, context: &Context) -> Result<Option<Profile>, Failure> {
        match self.elsewhere(context) {
            Some(line) => Err(Failure::Usage(line)),
            None => self.asked_profile(&context.user),
        }
    }

    /// As [`Self::profile`], whatever the root was served with.
    ///
    /// # Errors
    /// When it can't be read, or holds what is not accepted.
    pub(super) fn asked_profile(&self, user: &UserConfig) -> Result<Option<Profile>, Failure> {
        let Some(Asked { executor: (ExecutorName::Slurm, by), profile }) = self.asked(user) else {
            return Ok(None);
        };
        let (name, by) = profile.unwrap_or_else(|| ("generic".to_owned(), by));
        Profile::load(&by, &name).map(Some).map_err(Failure::Usage)
    }

    /// Why stages must not run on this machine by default: the root was served with a cluster.
    pub(super) fn elsewhere(&self, context: &Context) -> Option<String> {
        if self.asked(&context.user).is_some() {
            return None;
        }
        let served = Served::read(&Layout::new(&context.root))
            .filter(|served| served.executor == ExecutorName::Slurm)?;
        let name = served.profile.as_deref().unwrap_or("generic");
        Some(format!(
            "{} was run on Slurm (profile {name}); set {PROFILE_VARIABLE}={name}, or profile in {}, or \
             {EXECUTOR_VARIABLE}=local to go on on this machine",
            context.root.display(),
            configuration()
        ))
    }

    /// Why a daemon that runs is not the one that is asked for.
    pub(super) fn unlike(&self, context: &Context, health: &Health) -> Option<String> {
        let asked = self.asked(&context.user)?;
        let is_slurm = health.executor == ExecutorName::Slurm.as_str();
        let (executor, by) = &asked.executor;
        let wish = if is_slurm != (*executor == ExecutorName::Slurm) {
            match executor {
                ExecutorName::Local => format!("{by} asks for this machine"),
                ExecutorName::Slurm => format!("{by} asks for Slurm"),
            }
        } else {
            let (name, by) = asked.profile.filter(|_| is_slurm)?;
            let name = Profile::place(&name);
            if health.profile.as_ref().is_none_or(|profile| *profile == name) {
                return None;
            }
            format!("{by} asks for the profile {name}")
        };
        let runs = match &health.profile {
            _ if !is_slurm => "on this machine".to_owned(),
            Some(profile) => format!("on Slurm (profile {profile})"),
            None => "on Slurm".to_owned(),
        };
        let (root, stop) = (context.root.display(), context.command("stop"));
        Some(format!("the daemon for {root} runs stages {runs}, but {wish}; '{stop}', then repeat"))
    }

    /// Flags and environment over the user's configuration; a profile is for nothing but a cluster.
    fn asked(&self, user: &UserConfig) -> Option<Asked> {
        let own =
            self.profile.as_ref().map(|name| (name.clone(), given(name, PROFILE_VARIABLE, "--profile")));
        let users = user.profile.as_ref().map(|name| (name.clone(), configured("profile")));
        let implied = |profile: &Option<(String, String)>| {
            profile.as_ref().map(|(_, by)| (ExecutorName::Slurm, by.clone()))
        };
        let executor = self
            .executor
            .map(|executor| (executor, given(executor.as_str(), EXECUTOR_VARIABLE, "--executor")))
            .or_else(|| implied(&own))
            .or_else(|| user.executor.map(|executor| (executor, configured("executor"))))
            .or_else(|| implied(&users))?;
        Some(Asked { executor, profile: own.or(users) })
    }
}

/// What gave a value: the variable that holds it, else the flag.
pub(super) fn given(value: &str, variable: &str, flag: &str) -> String {
    if set(variable).is_some_and(|set| set == value) { variable.to_owned() } else { flag.to_owned() }
}

/// A key of the user's configuration, as it is told.
pub(super) fn configured(key: &str) -> String {
    format!("{key} in {}", configuration())
}

/// A variable of the environment, if it says something.
fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// The user's configuration, as it is told.
fn configuration() -> String {
    place::user_config().map_or_else(|| "config.toml".to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_asks_for_slurm_wherever_it_is_given() {
        let user = |executor: Option<ExecutorName>, profile: Option<&str>| UserConfig {
            executor,
            profile: profile.map(str::to_owned),
            ..UserConfig::default()
        };
        let flags = |executor: Option<ExecutorName>, profile: Option<&str>| ClusterFlags {
            executor,
            profile: profile.map(str::to_owned),
        };
        let (local, slurm) = (Some(ExecutorName::Local), Some(ExecutorName::Slurm));
        let asked = |flags: ClusterFlags, user: UserConfig| {
            flags.asked(&user).map(|asked| (asked.executor.0, asked.profile.map(|(name, _)| name)))
        };
        let on = |executor: Option<ExecutorName>, profile: Option<&str>| {
            executor.map(|executor| (executor, profile.map(str::to_owned)))
        };
        assert_eq!(asked(flags(None, None), user(None, None)), None);
        assert_eq!(asked(flags(None, None), user(None, Some("a"))), on(slurm, Some("a")));
        assert_eq!(asked(flags(None, None), user(local, Some("a"))), on(local, Some("a")));
        assert_eq!(asked(flags(None, Some("b")), user(local, Some("a"))), on(slurm, Some("b")));
        assert_eq!(asked(flags(local, Some("b")), user(slurm, None)), on(local, Some("b")));
        assert_eq!(asked(flags(slurm, None), user(None, Some("a"))), on(slurm, Some("a")));
    }
}
