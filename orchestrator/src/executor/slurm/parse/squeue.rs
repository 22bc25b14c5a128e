//! The jobs that the controller knows: `squeue -a -h -r -t all -o` [`FORMAT`].

use super::{field, state::SlurmState, tasks};

/// The columns: array job, task, state, nodes, name, reason. The reason is last because it may hold anything. A
/// name of ours holds no `|`.
pub const FORMAT: &str = "%F|%K|%T|%N|%j|%r";

/// A job, or one task of an array, in the queue or not long out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The id that `sbatch` gave: of the array, or of the job itself.
    pub array_job: u64,
    /// The task's number within its array.
    pub task: Option<u32>,
    /// Its state.
    pub state: SlurmState,
    /// The nodes it has, or had, as a host list.
    pub nodes: Option<String>,
    /// Its name.
    pub name: String,
    /// Why it waits, or why it ended.
    pub reason: Option<String>,
}

/// The jobs, in the order of the lines. A line that stands for many tasks gives one entry for each.
#[must_use]
pub fn parse(text: &str) -> Vec<Listed> {
    text.lines().filter_map(line).flatten().collect()
}

fn line(line: &str) -> Option<Vec<Listed>> {
    let fields: Vec<&str> = line.splitn(6, '|').map(str::trim).collect();
    let [array_job, task, state, nodes, name, reason] = *fields.as_slice() else { return None };
    if state.is_empty() {
        return None;
    }
    let one = Listed {
        array_job: array_job.parse().ok()?,
        task: None,
        state: SlurmState::parse(state),
        nodes: field::present(nodes),
        name: name.to_owned(),
        reason: field::present(reason),
    };
    if field::present(task).is_none() {
        return Some(vec![one]);
    }
    let tasks = tasks::expand(task)?;
    Some(tasks.into_iter().map(|task| Listed { task: Some(task), ..one.clone() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = include_str!("samples/squeue-live.txt");
    const ALL: &str = include_str!("samples/squeue-all.txt");

    fn named<'a>(jobs: &'a [Listed], name: &str) -> &'a Listed {
        jobs.iter().find(|job| job.name == name).unwrap()
    }

    #[test]
    fn a_real_queue_is_read() {
        let jobs = parse(LIVE);
        let waiting = named(&jobs, "depnever");
        assert_eq!(waiting.state, SlurmState::Pending);
        assert_eq!(waiting.reason.as_deref(), Some("DependencyNeverSatisfied"));
        assert_eq!((waiting.nodes.as_deref(), waiting.task), (None, None));
        let running = named(&jobs, "nodefail");
        assert_eq!((running.array_job, running.reason.as_deref()), (3, None));
        assert_eq!((running.state, running.nodes.as_deref()), (SlurmState::Running, Some("n4")));
        assert_eq!(named(&jobs, "suspended").state, SlurmState::Suspended);
        let low = named(&jobs, "low1").reason.as_deref().unwrap();
        assert!(low.starts_with("Nodes required for job are DOWN, DRAINED"), "{low}");
    }

    #[test]
    fn a_pending_array_stands_for_all_its_tasks() {
        let jobs = parse(LIVE);
        let tasks: Vec<_> = jobs.iter().filter(|job| job.array_job == 21).collect();
        assert_eq!(tasks.len(), 100);
        assert_eq!(tasks.last().unwrap().task, Some(99));
        assert!(tasks.iter().all(|task| task.name == "bigarray"));
        // Every other line is one job.
        assert_eq!(jobs.len(), LIVE.lines().count() - 1 + 100);
    }

    #[test]
    fn a_task_that_was_split_off_has_the_id_of_its_array() {
        let jobs = parse(ALL);
        assert_eq!(jobs.len(), ALL.lines().count());
        let of = |array, task| jobs.iter().find(|job| (job.array_job, job.task) == (array, task)).unwrap();
        assert_eq!(of(13, Some(2)).state, SlurmState::Failed);
        assert_eq!(of(14, Some(2)).reason.as_deref(), Some("DependencyNeverSatisfied"));
        assert!(jobs.iter().all(|job| job.state != SlurmState::Unknown));
    }

    #[test]
    fn a_reason_may_hold_anything() {
        let jobs = parse("7|N/A|PENDING||x|held | for, (maintenance) \n");
        assert_eq!(jobs[0].reason.as_deref(), Some("held | for, (maintenance)"));
    }

    #[test]
    fn lines_that_are_none_of_ours_are_passed_over() {
        let text = "*** maintenance | on | Monday ***\n\n7|N/A|PENDING||x\n\
            a|N/A|PENDING||x|None\n-7|N/A|PENDING||x|None\n\
            7|oops|PENDING||x|None\n7|N/A|||x|None\n\
            ARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|NAME|REASON\n\
            8|5|BEFUDDLED|n1|y|None\r\n";
        let jobs = parse(text);
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        assert_eq!((jobs[0].array_job, jobs[0].task, jobs[0].state), (8, Some(5), SlurmState::Unknown));
        assert_eq!(jobs[0].reason, None);
    }

    #[test]
    fn a_job_may_be_called_none() {
        assert_eq!(parse("7|N/A|RUNNING|n1|None|None")[0].name, "None");
    }
}
