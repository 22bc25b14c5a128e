//! Whether the kernel killed processes of this job because its memory ran out, as the control group of the job counts.
//!
//! Version 2 of control groups counts in `memory.events`, version 1 in `memory.oom_control`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where control groups are mounted.
const MOUNTED: &str = "/sys/fs/cgroup";
/// The control groups of this process.
const OWN: &str = "/proc/self/cgroup";

/// Kills of the control group of this process that were not accounted for yet.
pub(super) struct Kills {
    /// None where nobody counts.
    file: Option<PathBuf>,
    seen: u64,
}

impl Kills {
    /// From now on.
    pub(super) fn of_this_job() -> Self {
        Self::counted(&fs::read_to_string(OWN).unwrap_or_default(), Path::new(MOUNTED))
    }

    /// `groups` is what [`OWN`] has, `mounted` where they are.
    fn counted(groups: &str, mounted: &Path) -> Self {
        let files = groups.lines().filter_map(|line| file(line, mounted));
        let counted = files.map(|file| (count(&file), file)).find(|(count, _)| count.is_some());
        let (seen, file) = counted.map_or((0, None), |(seen, file)| (seen.unwrap_or(0), Some(file)));
        Self { file, seen }
    }

    /// Whether there was one more; it is accounted for then.
    pub(super) fn take(&mut self) -> bool {
        let is_more = self.file.as_deref().and_then(count).is_some_and(|now| now > self.seen);
        self.seen += u64::from(is_more);
        is_more
    }
}

/// The file that counts for a line of [`OWN`]: that of the group, or of the nearest around it that has one.
fn file(line: &str, mounted: &Path) -> Option<PathBuf> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    let (mounted, name) = match controllers {
        "" => (mounted.to_owned(), "memory.events"),
        _ if controllers.split(',').any(|one| one == "memory") => {
            (mounted.join("memory"), "memory.oom_control")
        }
        _ => return None,
    };
    let group = mounted.join(group.trim_start_matches('/'));
    let around = group.ancestors().take_while(|group| group.starts_with(&mounted));
    around.map(|group| group.join(name)).find(|file| file.exists())
}

fn count(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kill_is_taken_once() {
        let root = tempfile::tempdir().unwrap();
        let two = ("0::/job_7/step_batch/task_0\n", "job_7/step_batch", "memory.events");
        let one = (
            "9:cpu,cpuacct:/job_7\n8:memory:/job_7/step_0\n1:name=systemd:/x\n",
            "memory/job_7/step_0",
            "memory.oom_control",
        );
        for (groups, folder, name) in [two, one] {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            let happened = |kills: u64| {
                fs::write(folder.join(name), format!("oom 9\noom_kill {kills}\noom_group_kill 0\n")).unwrap();
            };
            happened(3);
            let mut kills = Kills::counted(groups, root.path());
            assert!(!kills.take());
            happened(5);
            assert_eq!([kills.take(), kills.take(), kills.take()], [true, true, false], "{groups}");
        }
        assert!(!Kills::counted("0::/elsewhere\n", root.path()).take());
        assert!(!Kills::counted("", root.path()).take());
    }
}
