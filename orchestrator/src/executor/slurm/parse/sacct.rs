//! The runs of jobs that accounting knows: `sacct -X -n -P -D -o` [`FIELDS`].

use super::{field, state::SlurmState, tasks};

/// The columns. A name of ours holds no `|`.
pub const FIELDS: &str = "JobID,JobName,State,ExitCode,NodeList";

/// One run of a job, or of a task of an array. A job that was queued again has a record for each run, the
/// latest last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounted {
    /// The id that `sbatch` gave: of the array, or of the job itself.
    pub array_job: u64,
    /// The task's number within its array.
    pub task: Option<u32>,
    /// Its name.
    pub name: String,
    /// How the run ended, or its state.
    pub state: SlurmState,
    /// The exit code of the batch script.
    pub exit_code: i32,
    /// The signal that ended the batch script; 0 when none did.
    pub signal: i32,
    /// The nodes it had, as a host list.
    pub nodes: Option<String>,
    /// Whether nobody cancelled it, but a job that it waited for did not end well: `CANCELLED`, where a person's word makes
    /// `CANCELLED by 1000`, without ever having had nodes.
    pub orphaned: bool,
    /// Whether the list of tasks that it was in was cut: of those behind nothing is known.
    pub cut: bool,
}

/// The runs, in the order of the lines. Steps (`4.batch`) are passed over; a line that stands for many
/// tasks gives one entry for each.
#[must_use]
pub fn parse(text: &str) -> Vec<Accounted> {
    text.lines().filter_map(line).flatten().collect()
}

fn line(line: &str) -> Option<Vec<Accounted>> {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [id, name, state, exit, nodes] = *fields.as_slice() else { return None };
    if state.is_empty() {
        return None;
    }
    let (job_id, task) = id.split_once('_').map_or((id, None), |(job, task)| (job, Some(task)));
    let (exit_code, signal) = exit.split_once(':')?;
    let one = Accounted {
        array_job: without_offset(job_id).parse().ok()?,
        task: None,
        name: name.to_owned(),
        state: SlurmState::parse(state),
        exit_code: exit_code.parse().ok()?,
        signal: signal.parse().ok()?,
        nodes: field::present(nodes),
        orphaned: state == "CANCELLED" && field::present(nodes).is_none(),
        cut: false,
    };
    let Some(task) = task else { return Some(vec![one]) };
    let (tasks, cut) = (tasks::expand(task)?, tasks::is_cut(task));
    Some(tasks.into_iter().map(|task| Accounted { task: Some(task), cut, ..one.clone() }).collect())
}

/// The parts of a heterogeneous job are `12+0`, `12+1`, and so on.
fn without_offset(id: &str) -> &str {
    id.split_once('+').map_or(id, |(job, _)| job)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: &str = include_str!("samples/sacct-runs.txt");

    fn named<'a>(runs: &'a [Accounted], name: &str) -> Vec<&'a Accounted> {
        runs.iter().filter(|run| run.name == name).collect()
    }

    #[test]
    fn real_runs_are_read() {
        let runs = parse(RUNS);
        assert_eq!(runs.len(), RUNS.lines().count());
        assert!(runs.iter().all(|run| run.state != SlurmState::Unknown));
        let failed = named(&runs, "fail3")[0];
        assert_eq!((failed.state, failed.exit_code, failed.signal), (SlurmState::Failed, 3, 0));
        assert!(failed.nodes.is_some() && named(&runs, "overlimit")[0].nodes.is_none());
        assert_eq!(named(&runs, "sig11")[0].signal, 11);
        assert_eq!(named(&runs, "cancelrun")[0].state, SlurmState::Cancelled);
        assert_eq!(named(&runs, "overlimit")[0].state, SlurmState::Pending);
    }

    #[test]
    fn each_run_of_a_job_has_its_record_in_order() {
        let runs = parse(RUNS);
        let states = |name| named(&runs, name).iter().map(|run| run.state).collect::<Vec<_>>();
        assert_eq!(states("requeued"), [SlurmState::Requeued, SlurmState::Completed]);
        assert_eq!(states("low1"), [SlurmState::Preempted, SlurmState::Completed]);
        assert_eq!(states("high1"), [SlurmState::NodeFail, SlurmState::Running]);
    }

    #[test]
    fn tasks_have_the_id_of_their_array() {
        let runs = parse(RUNS);
        let ids: Vec<_> = named(&runs, "array").iter().map(|run| (run.array_job, run.task)).collect();
        assert_eq!(ids, [(13, Some(0)), (13, Some(1)), (13, Some(2)), (13, Some(3))]);
    }

    #[test]
    fn a_pending_array_stands_for_all_its_tasks() {
        let runs = parse(include_str!("samples/sacct-pending.txt"));
        assert_eq!(runs.len(), 4 + 100);
        let last = runs.last().unwrap();
        assert_eq!((last.array_job, last.task), (21, Some(99)));
        let cut = parse("7_[1,3,12...]|x|PENDING|0:0|");
        assert!(cut.len() == 2 && cut.iter().all(|task| task.cut) && !last.cut);
    }

    #[test]
    fn what_waited_for_a_job_that_failed_is_cancelled_by_nobody() {
        let orphaned = |line: &str| parse(line)[0].orphaned;
        assert!(orphaned("3_[0-1]|x|CANCELLED|0:0|None assigned") && orphaned("2_0|x|CANCELLED|0:0|"));
        assert!(!orphaned("4|x|CANCELLED by 0|0:0|None assigned") && !orphaned("4|x|CANCELLED|0:0|n1"));
        assert!(!orphaned("5|x|FAILED|1:0|None assigned"));
    }

    #[test]
    fn steps_are_passed_over() {
        let runs = parse(include_str!("samples/sacct-steps.txt"));
        assert_eq!(runs.iter().map(|run| run.array_job).collect::<Vec<_>>(), [1, 4, 6, 7]);
        assert!(parse("7_3.batch|batch|COMPLETED|0:0|n1").is_empty());
    }

    #[test]
    fn the_offset_of_a_heterogeneous_job_is_dropped() {
        let runs = parse("12+1|x|RUNNING|0:0|n1");
        assert_eq!((runs[0].array_job, runs[0].task), (12, None));
    }

    #[test]
    fn lines_that_are_none_of_ours_are_passed_over() {
        let good = "4|ok|COMPLETED|0:0|";
        assert_eq!(parse(good).len(), 1);
        for cut in 0..good.len() {
            let (start, _) = good.split_at(cut);
            assert!(parse(start).is_empty(), "{start}");
        }
        for bad in [
            "",
            "JobID|JobName|State|ExitCode|NodeList",
            "x|ok|COMPLETED|0:0|n1",
            "4_|ok|COMPLETED|0:0|n1",
            "4_[|ok|COMPLETED|0:0|n1",
            "4|ok||0:0|n1",
            "4|ok|COMPLETED|0|n1",
            "4|a|b|COMPLETED|0:0|n1",
        ] {
            assert!(parse(bad).is_empty(), "{bad}");
        }
    }
}
