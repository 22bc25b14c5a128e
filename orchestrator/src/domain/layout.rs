//! Where files lie under the root (`LC_ROOT`).

use protocol::{
    ids::{AttemptId, SubmissionId},
    stage::StageKind,
};
use std::path::{Path, PathBuf};

/// The root and the paths under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// `root` must be absolute: workers start elsewhere.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The API token.
    #[must_use]
    pub fn token(&self) -> PathBuf {
        self.root.join("token")
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn daemon_file(&self) -> PathBuf {
        self.root.join("daemon.json")
    }

    /// Locked by the daemon as long as it lives.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.root.join("daemon.lock")
    }

    /// What a daemon that was started in the background says.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.root.join("daemon.log")
    }

    /// Where stages run: what the daemon served the root with that changed it last.
    #[must_use]
    pub fn executor_file(&self) -> PathBuf {
        self.root.join("executor.json")
    }

    /// The record.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("lc.sqlite")
    }

    /// Copies of the record.
    #[must_use]
    pub fn backups(&self) -> PathBuf {
        self.root.join("backups")
    }

    /// Prepared data, by [`super::identity::data_hash`].
    #[must_use]
    pub fn dataset(&self, data_hash: &str) -> PathBuf {
        self.root.join("datasets").join(&data_hash[..data_hash.len().min(16)])
    }

    /// All model folders.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// The model folder of a run.
    #[must_use]
    pub fn model(&self, run: &str) -> PathBuf {
        self.models().join(run)
    }

    /// Collected statistics.
    #[must_use]
    pub fn stats(&self) -> PathBuf {
        self.root.join("stats")
    }

    /// The table of a study.
    #[must_use]
    pub fn results_csv(&self, study: &str) -> PathBuf {
        self.root.join("results").join(format!("{study}.csv"))
    }

    /// The values of single classes of a run's checkpoint.
    #[must_use]
    pub fn classes(&self, run: &str, checkpoint: u32) -> PathBuf {
        self.root.join("results").join("classes").join(format!("{run}@{checkpoint}.parquet"))
    }

    /// The folder of an attempt.
    #[must_use]
    pub fn attempt(&self, kind: StageKind, attempt: AttemptId) -> PathBuf {
        self.root.join("logs").join(kind.as_str()).join(attempt.to_string())
    }

    /// The folder of a job array: its script, and a folder per attempt, named by its index.
    #[must_use]
    pub fn submission(&self, kind: StageKind, submission: SubmissionId) -> PathBuf {
        self.root.join("logs").join(kind.as_str()).join(submission.to_string())
    }

    /// The kind of stage that the folder of an attempt in a job array tells.
    #[must_use]
    pub fn kind_of(folder: &Path) -> Option<StageKind> {
        folder.ancestors().nth(2)?.file_name()?.to_str()?.parse().ok()
    }
}

/// The name of a run's folders: its identifier, or that after the study's name where the plain one
/// belongs to another run of this root.
#[must_use]
pub fn run_name(identifier: &str, study: &str, taken: bool) -> String {
    if !taken {
        return identifier.to_owned();
    }
    // Published folders are called TinyStories-<identifier> and known by the identifier alone; a
    // study of that name must not be taken for them.
    let mark = if study.ends_with("TinyStories") { "." } else { "" };
    format!("{study}{mark}-{identifier}")
}

/// A path as one word of a shell.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_alphanumeric() || "/._-+=:,@%".contains(c)) {
        return text;
    }
    // Not within single quotes, which commands stand in when they are told.
    let special = |c: char| matches!(c, '"' | '\\' | '$' | '`');
    let escaped: String =
        text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_an_attempt_in_an_array_tells_the_kind_of_stage() {
        let id = SubmissionId(uuid::Uuid::nil());
        for kind in StageKind::ALL {
            let folder = Layout::new("/root").submission(*kind, id).join("3");
            assert_eq!(Layout::kind_of(&folder), Some(*kind));
        }
        assert_eq!(Layout::kind_of(Path::new("/3")), None);
    }

    #[test]
    fn a_name_that_is_taken_gets_the_study_in_front() {
        assert_eq!(run_name("01x0064_01d00", "s", false), "01x0064_01d00");
        assert_eq!(run_name("01x0064_01d00", "s", true), "s-01x0064_01d00");
        assert_eq!(run_name("01x0064_01d00", "TinyStories", true), "TinyStories.-01x0064_01d00");
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        for (path, word) in [("/a/b-c.d", "/a/b-c.d"), ("/a b", "\"/a b\""), ("/a$b\"", "\"/a\\$b\\\"\"")] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
