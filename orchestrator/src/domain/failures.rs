//! Attempts that went wrong, in groups of one cause.

use super::diagnosis::{self, Evidence};
use chrono::{DateTime, Utc};
use protocol::{
    ids::StageId,
    stage::{AttemptState, StageKind, StageState},
    table::FailureGroup,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Examples of a group.
const CASES: usize = 5;

/// An attempt that went wrong: what decides its group.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedAttempt {
    /// Its place in the record.
    pub row: i64,
    /// Whether it is the newest of the stage's attempts that went wrong.
    pub newest: bool,
    /// How it ended.
    pub state: AttemptState,
    /// One line.
    pub message: Option<String>,
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// The stage.
    pub stage: StageId,
    /// Its kind.
    pub kind: StageKind,
    /// Its state now.
    pub stage_state: StageState,
}

/// How attempts ended: what those of a group have in common, the cause in words.
pub type Ending = (AttemptState, StageKind, String);

/// Attempts by how they ended. Within a group they stay in order: the newest first.
#[must_use]
pub fn grouped(attempts: &[FailedAttempt]) -> BTreeMap<Ending, Vec<&FailedAttempt>> {
    let mut groups: BTreeMap<Ending, Vec<&FailedAttempt>> = BTreeMap::new();
    let mut causes: HashMap<Option<&str>, String> = HashMap::new();
    for attempt in attempts {
        let message = attempt.message.as_deref();
        let cause = causes
            .entry(message)
            .or_insert_with(|| diagnosis::cause(message.unwrap_or("ended without a message")));
        groups.entry((attempt.state, attempt.kind, cause.clone())).or_default().push(attempt);
    }
    groups
}

/// The newest attempts, of as many stages as there are.
#[must_use]
pub fn examples<'a>(attempts: &[&'a FailedAttempt]) -> Vec<&'a FailedAttempt> {
    let mut stages = BTreeSet::new();
    let firsts = attempts.iter().copied().filter(|attempt| stages.insert(attempt.stage));
    firsts.take(CASES).collect()
}

/// What is told of a group, but for studies and examples. `evidence` is that of its newest attempt, `skipped` counts the
/// stages that were skipped because of each one. None of no attempts.
#[must_use]
pub fn group(
    (state, kind, cause): Ending,
    attempts: &[&FailedAttempt],
    evidence: Evidence<'_>,
    skipped: &HashMap<StageId, u64>,
) -> Option<FailureGroup> {
    let newest = attempts.first()?;
    let advice = diagnosis::advice(state, evidence);
    let is_final = |attempt: &&&FailedAttempt| attempt.newest && attempt.stage_state == StageState::Failed;
    let failed: BTreeSet<_> = attempts.iter().filter(is_final).map(|attempt| attempt.stage).collect();
    Some(FailureGroup {
        state,
        kind,
        cause,
        suggestion: advice.suggestion,
        transient: advice.transient,
        retried: attempts.len() as u64 - attempts.iter().filter(is_final).count() as u64,
        skipped: failed.iter().filter_map(|stage| skipped.get(stage)).sum(),
        failed: failed.len() as u64,
        first: attempts.iter().map(|attempt| attempt.finished).min().unwrap_or(newest.finished),
        last: newest.finished,
        studies: Vec::new(),
        cases: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(stage: i64, newest: bool, message: &str, second: i64) -> FailedAttempt {
        FailedAttempt {
            row: second,
            newest,
            state: AttemptState::Failed,
            message: Some(message.to_owned()),
            finished: DateTime::from_timestamp(second, 0).unwrap(),
            stage: StageId(stage),
            kind: StageKind::Train,
            stage_state: StageState::Failed,
        }
    }

    #[test]
    fn a_group_counts_stages_that_failed_and_attempts_that_were_followed_by_another() {
        let attempts = [
            attempt(1, true, "loss is NaN at step 30", 30),
            attempt(2, true, "loss is NaN at step 20", 20),
            attempt(1, false, "loss is NaN at step 10", 10),
            attempt(3, true, "no space left", 5),
        ];
        let groups = grouped(&attempts);
        assert_eq!(groups.len(), 2);
        let (ending, members) = groups.into_iter().find(|(ending, _)| ending.2.contains("NaN")).unwrap();
        let rows: Vec<_> = examples(&members).iter().map(|attempt| attempt.row).collect();
        assert_eq!(rows, [30, 20], "one of each stage, the newest first");
        let skipped = HashMap::from([(StageId(1), 5), (StageId(3), 7)]);
        let group =
            group(ending, &members, Evidence { message: Some("NaN"), ..Evidence::default() }, &skipped);
        let group = group.unwrap();
        assert_eq!((group.failed, group.retried, group.skipped), (2, 1, 5));
        assert_eq!((group.first.timestamp(), group.last.timestamp()), (10, 30));
        assert!(!group.transient);
    }
}
