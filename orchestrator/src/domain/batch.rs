//! Stages into job arrays, parents before children.
//!
//! Stages of one kind (and checkpoint) that ask for the same and wait for the same arrays go out as one array.
//! A child takes its parents' index, so that the queue can release it as soon as its own parents are done
//! (`aftercorr`), and not only when those of all are.

use super::resources::Request;
use protocol::{
    ids::{StageId, SubmissionId},
    stage::StageKind,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

/// A stage that could be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The stage.
    pub stage: StageId,
    /// Kind.
    pub kind: StageKind,
    /// Checkpoint index, where the kind has one.
    pub checkpoint: Option<u32>,
    /// Priority of its run: in an array, higher ones get lower indices, which a cluster starts first.
    pub priority: i32,
    /// What its job asks for.
    pub request: Request,
    /// Its parents that are not done.
    pub parents: Vec<Parent>,
}

/// A parent that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The stage.
    pub stage: StageId,
    /// Kind.
    pub kind: StageKind,
}

/// Where a stage is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its array.
    pub array: Earlier,
    /// Its index there.
    pub task: u32,
}

/// Where an attempt is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its array.
    pub submission: SubmissionId,
    /// Index in the array.
    pub task: u32,
    /// The array's id in the queue, where known.
    pub job: Option<u64>,
}

/// An array that others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Earlier {
    /// In the queue already.
    Known(SubmissionId),
    /// One of those that are planned, by its position.
    New(usize),
}

/// What an array waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct After {
    /// The other array.
    pub array: Earlier,
    /// How.
    pub how: How,
}

/// How an array waits for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// Every task waits for all of the other's.
    All,
    /// Every task waits for the other's task of the same index.
    Same,
    /// All wait for this task of the other.
    Task(u32),
}

/// One job array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Kind of its stages.
    pub kind: StageKind,
    /// Their checkpoint index.
    pub checkpoint: Option<u32>,
    /// What each of its jobs asks for.
    pub request: Request,
    /// What it waits for.
    pub after: Vec<After>,
    /// Stages by index.
    pub tasks: BTreeMap<u32, StageId>,
}

type Key = (StageKind, Option<u32>, Request, Vec<After>);

/// The arrays for the candidates, each behind those that it waits for. `placed` tells where stages are in the
/// queue already; `most` is the largest number of tasks of an array, and no index reaches it. A candidate with a
/// parent that is neither done nor placed nor a candidate itself is left out.
#[must_use]
pub fn batches(mut candidates: Vec<Candidate>, placed: &HashMap<StageId, Place>, most: u32) -> Vec<Batch> {
    candidates.sort_by_key(|candidate| {
        (candidate.kind, candidate.checkpoint, Reverse(candidate.priority), candidate.stage)
    });
    let mut placed = placed.clone();
    let mut batches: Vec<Batch> = Vec::new();
    let mut open: HashMap<Key, Vec<usize>> = HashMap::new();
    for candidate in candidates {
        let Some((after, fixed)) = wait(&candidate, &placed) else { continue };
        let key = (candidate.kind, candidate.checkpoint, candidate.request.clone(), after.clone());
        let chunks = open.entry(key).or_default();
        let next = |batch: &Batch| batch.tasks.last_key_value().map_or(0, |(&index, _)| index + 1);
        let room = chunks.iter().copied().find(|&chunk| match fixed {
            Some(index) => !batches[chunk].tasks.contains_key(&index),
            None => next(&batches[chunk]) < most,
        });
        let position = room.unwrap_or_else(|| {
            batches.push(Batch {
                kind: candidate.kind,
                checkpoint: candidate.checkpoint,
                request: candidate.request,
                after,
                tasks: BTreeMap::new(),
            });
            chunks.push(batches.len() - 1);
            batches.len() - 1
        });
        let index = fixed.unwrap_or_else(|| next(&batches[position]));
        batches[position].tasks.insert(index, candidate.stage);
        placed.insert(candidate.stage, Place { array: Earlier::New(position), task: index });
    }
    batches
}

/// What a candidate's array has to wait for, and the index that it must have there for this, if any.
fn wait(candidate: &Candidate, placed: &HashMap<StageId, Place>) -> Option<(Vec<After>, Option<u32>)> {
    let mut after = Vec::new();
    let mut own = Vec::new();
    for parent in &candidate.parents {
        let place = placed.get(&parent.stage)?;
        if parent.kind == StageKind::Prepare {
            // One for many: its array has no other task.
            after.push(After { array: place.array, how: How::All });
        } else {
            own.push(*place);
        }
    }
    let index = own.first().map(|place| place.task);
    let in_step = own.iter().all(|place| Some(place.task) == index);
    after.extend(own.iter().map(|place| After {
        array: place.array,
        how: if in_step { How::Same } else { How::Task(place.task) },
    }));
    after.sort_unstable();
    after.dedup();
    Some((after, index.filter(|_| in_step)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The stages of `runs` runs with the usual chain; stage 0 is the `prepare` that they share.
    fn study(runs: i64, most_wide: bool) -> Vec<Candidate> {
        let mut all = vec![Candidate {
            stage: StageId(0),
            kind: StageKind::Prepare,
            checkpoint: None,
            priority: 0,
            request: Request::default(),
            parents: vec![],
        }];
        for run in 0..runs {
            let id = |kind: StageKind| {
                StageId(if kind == StageKind::Prepare { 0 } else { run * 10 + kind as i64 })
            };
            for &kind in &StageKind::ALL[1..] {
                let minutes = (most_wide && run % 2 == 1).then_some(60);
                all.push(Candidate {
                    stage: id(kind),
                    kind,
                    checkpoint: kind.per_checkpoint().then_some(0),
                    priority: 0,
                    request: Request { minutes, ..Request::default() },
                    parents: kind.parents().iter().map(|&kind| Parent { stage: id(kind), kind }).collect(),
                });
            }
        }
        all
    }

    #[test]
    fn a_study_is_one_array_per_kind() {
        let arrays = batches(study(1000, false), &HashMap::new(), 1001);
        assert_eq!(arrays.len(), 7);
        assert_eq!(arrays[1].after, [After { array: Earlier::New(0), how: How::All }]);
        assert!(arrays[2..].iter().all(|array| array.after.iter().all(|after| after.how == How::Same)));
        assert!(arrays[1..].iter().all(|array| array.tasks.len() == 1000));
        // vars and decs after means, analyze after everything.
        assert_eq!(arrays[6].after.len(), 4);
    }

    #[test]
    fn runs_of_higher_priority_come_first_in_their_array() {
        let mut stages = study(5, false);
        for stage in stages.iter_mut().filter(|stage| stage.stage.0 / 10 == 3) {
            stage.priority = 7;
        }
        let arrays = batches(stages, &HashMap::new(), 100);
        let first = |array: &Batch| array.tasks.first_key_value().map(|(_, stage)| stage.0 / 10);
        assert!(arrays[1..].iter().all(|array| first(array) == Some(3)));
    }

    #[test]
    fn arrays_are_cut_where_the_cluster_wants_it() {
        let arrays = batches(study(250, false), &HashMap::new(), 100);
        assert_eq!(arrays.len(), 1 + 6 * 3);
        assert!(arrays.iter().all(|array| array.tasks.keys().all(|&index| index < 100)));
    }

    #[test]
    fn a_stage_with_parents_at_different_indices_goes_alone() {
        let known = |n: u128| Earlier::Known(SubmissionId(uuid::Uuid::from_u128(n)));
        let placed = HashMap::from([
            (StageId(1), Place { array: known(1), task: 3 }),
            (StageId(2), Place { array: known(2), task: 5 }),
        ]);
        let candidate = Candidate {
            stage: StageId(9),
            kind: StageKind::Analyze,
            checkpoint: Some(0),
            priority: 0,
            request: Request::default(),
            parents: vec![
                Parent { stage: StageId(1), kind: StageKind::Means },
                Parent { stage: StageId(2), kind: StageKind::Vars },
            ],
        };
        let arrays = batches(vec![candidate.clone()], &placed, 10);
        assert_eq!(
            arrays[0].after,
            [After { array: known(1), how: How::Task(3) }, After { array: known(2), how: How::Task(5) }]
        );
        assert!(batches(vec![candidate], &HashMap::new(), 10).is_empty(), "its parents are nowhere");
    }

    proptest! {
        #[test]
        fn every_stage_is_queued_once_behind_its_own_parents(
            runs in 1..40_i64, most in 1..50_u32, wide: bool, done in prop::collection::hash_set(0..400_i64, 0..40),
        ) {
            let done: std::collections::HashSet<_> = done.into_iter().map(StageId).collect();
            let candidates: Vec<_> = study(runs, wide)
                .into_iter()
                .filter(|candidate| !done.contains(&candidate.stage))
                .map(|mut candidate| {
                    candidate.parents.retain(|parent| !done.contains(&parent.stage));
                    candidate
                })
                .collect();
            let arrays = batches(candidates.clone(), &HashMap::new(), most);
            let mut at = HashMap::new();
            for (position, array) in arrays.iter().enumerate() {
                prop_assert!(array.tasks.len() <= most as usize);
                for (&task, &stage) in &array.tasks {
                    prop_assert!(task < most);
                    prop_assert!(at.insert(stage, (position, task)).is_none(), "queued twice");
                }
            }
            prop_assert_eq!(at.len(), candidates.len());
            for candidate in &candidates {
                let (position, task) = at[&candidate.stage];
                for parent in &candidate.parents {
                    let (earlier, index) = at[&parent.stage];
                    prop_assert!(earlier < position);
                    let waits = arrays[position].after.iter().any(|after| {
                        after.array == Earlier::New(earlier)
                            && match after.how {
                                How::All => true,
                                How::Same => index == task,
                                How::Task(other) => other == index,
                            }
                    });
                    prop_assert!(waits, "{} does not wait for {}", candidate.kind, parent.kind);
                }
            }
        }
    }
}
