//! A cluster's profile: what is true of the cluster, whatever study runs on it. A TOML file, or one of the
//! profiles that come with the program (`deploy/profiles`).

use super::{
    file::{self, FileError},
    place::at_home,
};
use crate::domain::{rules, window::Windows};
use protocol::{resources::ResourceRule, several};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Profiles that come with the program.
const BUILTIN: [(&str, &str); 2] = [
    ("generic", include_str!("../../../deploy/profiles/generic.toml")),
    ("preemptible", include_str!("../../../deploy/profiles/preemptible.toml")),
];

/// What a profile may say. Every key may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// What it is known by: a builtin name, or its file.
    #[serde(skip)]
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The worker program as the nodes see it; the one of this machine if missing.
    pub worker: Option<PathBuf>,
    /// Further arguments of `lc-worker run`.
    #[serde(deserialize_with = "several::lines")]
    pub worker_args: Vec<String>,
    /// A template of the batch script in place of `deploy/slurm/job.sh`.
    pub template: Option<PathBuf>,
    /// Lines of shell before the worker starts, for example `module load cuda`.
    #[serde(deserialize_with = "several::lines")]
    pub setup: Vec<String>,
    /// Whether Slurm starts jobs again that were preempted or lost their node. If not, the daemon hands over a
    /// new job.
    pub requeue: bool,
    /// Seconds before the time limit at which a worker is told to write a checkpoint.
    pub warn_seconds: u64,
    /// Seconds between two looks at the queue.
    pub tick_seconds: u64,
    /// Seconds that a job must be missing, or a result file of a job that ended, before this counts.
    pub settle_seconds: u64,
    /// Seconds that a command of Slurm may take.
    pub call_seconds: u64,
    /// Seconds that nothing is handed over after an answer was unclear, or to the same partition, account and quality of
    /// service after a limit was reached; doubles each time, up to a quarter of an hour.
    pub pause_seconds: u64,
    /// Attempts in the queue at once.
    pub max_queued: Option<u32>,
    /// Tasks of one array that may run at once.
    pub max_running: Option<u32>,
    /// Tasks of an array, if fewer than the cluster allows.
    pub max_array: Option<u32>,
    /// When jobs may be handed over.
    pub schedule: ScheduleSection,
    /// What jobs ask for; later rules go over earlier ones, and those of a study over all.
    pub rules: Vec<ResourceRule>,
}

/// `[schedule]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSection {
    /// Cron expressions (seconds first, local time); jobs are handed over in the minutes that one of them names.
    /// At any time if empty.
    pub submit: Vec<String>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            worker: None,
            worker_args: Vec::new(),
            template: None,
            setup: Vec::new(),
            requeue: false,
            warn_seconds: 300,
            tick_seconds: 30,
            settle_seconds: 30,
            call_seconds: 60,
            pause_seconds: 30,
            max_queued: None,
            max_running: None,
            max_array: None,
            schedule: ScheduleSection::default(),
            rules: Vec::new(),
        }
    }
}

impl Profile {
    /// The profile of this name, or in this file. `by` is what asks for it: a flag, a variable or a key.
    ///
    /// # Errors
    /// When there is none, or it holds what is not accepted: one line.
    pub fn load(by: &str, name: &str) -> Result<Self, String> {
        if let Some((_, text)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
            return Ok(Self { name: name.to_owned(), ..Self::of_text(Path::new(name), text)? });
        }
        let path = &at_home(Path::new(name));
        if !path.exists() {
            let names: Vec<_> = BUILTIN.iter().map(|(name, _)| *name).collect();
            return Err(format!("{by}: {name}: no such file; accepted: a file, {}", names.join(", ")));
        }
        let text = file::text(path).map_err(|error: FileError| error.to_string())?;
        Self::of_text(path, &text)
    }

    /// What the profile of this name, or in this file, is known by.
    #[must_use]
    pub fn place(name: &str) -> String {
        if BUILTIN.iter().any(|(builtin, _)| *builtin == name) {
            return name.to_owned();
        }
        let path = at_home(Path::new(name));
        let path = std::path::absolute(&path).unwrap_or(path);
        std::fs::canonicalize(&path).unwrap_or(path).display().to_string()
    }

    /// As [`Self::load`], with the text given; its relative paths are relative to its folder.
    ///
    /// # Errors
    /// When it holds what is not accepted.
    pub fn of_text(path: &Path, text: &str) -> Result<Self, String> {
        let mut profile: Self = file::parse(path, text).map_err(|error| error.to_string())?;
        profile.name = Self::place(&path.to_string_lossy());
        let at = path.display();
        let mut wrong = rules::violations("rules", &profile.rules);
        if let Err(why) = Windows::new(&profile.schedule.submit) {
            wrong.push(format!("schedule.submit: {why}"));
        }
        let times = [
            ("tick_seconds", profile.tick_seconds),
            ("settle_seconds", profile.settle_seconds),
            ("call_seconds", profile.call_seconds),
            ("pause_seconds", profile.pause_seconds),
        ];
        wrong.extend(
            times
                .iter()
                .filter(|(_, value)| *value == 0)
                .map(|(name, _)| format!("{name}: 0 is not accepted; use whole seconds above 0")),
        );
        let limits = [
            ("max_queued", profile.max_queued),
            ("max_running", profile.max_running),
            ("max_array", profile.max_array),
        ];
        wrong.extend(limits.iter().filter(|(_, limit)| *limit == Some(0)).map(|(name, _)| {
            format!("{name}: 0 is not accepted; use a whole number above 0, or leave it out for the cluster's limit")
        }));
        if let Some(line) =
            profile.setup.iter().chain(&profile.worker_args).find(|line| !rules::is_plain(line))
        {
            wrong.push(format!("setup, worker_args: {line:?} is not accepted; use one line each"));
        }
        if !wrong.is_empty() {
            return Err(format!("{at}: {}", wrong.join("; ")));
        }
        let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
        let folder = folder.unwrap_or_default();
        for place in [&mut profile.worker, &mut profile.template].into_iter().flatten() {
            *place = folder.join(at_home(place));
        }
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_profiles_are_sound() {
        for (name, _) in BUILTIN {
            let profile = Profile::load("--profile", name).unwrap();
            assert_eq!(profile.name, name);
            assert!(!profile.description.is_empty() && !profile.rules.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_is_not_accepted_is_one_line() {
        for (text, hint) in [
            ("ticks = 3", "unknown key 'ticks'"),
            ("tick_seconds = 0", "tick_seconds: 0"),
            ("max_queued = 0", "max_queued: 0 is not accepted; use a whole number above 0, or leave it out"),
            ("max_running = 0", "max_running: 0"),
            ("max_array = 0", "max_array: 0"),
            ("[schedule]\nsubmit = [\"at night\"]", "schedule.submit"),
            ("[[rules]]\nmem = \"lots\"", "rules[0].mem"),
            ("setup = [\"a\\nb\"]", "setup"),
        ] {
            let why = Profile::of_text(Path::new("/c/p.toml"), text).unwrap_err();
            assert!(why.starts_with("/c/p.toml") && why.contains(hint) && !why.contains('\n'), "{why}");
        }
        let why = Profile::load("LC_PROFILE", "no-such").unwrap_err();
        assert_eq!(why, "LC_PROFILE: no-such: no such file; accepted: a file, generic, preemptible");
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "worker = \"bin/lc-worker\"\nsetup = \"module load cuda\"";
        let profile = Profile::of_text(Path::new("/c/p.toml"), text).unwrap();
        assert_eq!(profile.setup, ["module load cuda"], "one line may stand alone");
        assert_eq!(profile.worker.as_deref(), Some(Path::new("/c/bin/lc-worker")));
    }
}
