//! Stages into job arrays, parents before children.
//!
//! Stages of one kind (and checkpoint) that ask for the same and wait for the same arrays go out as one array.
//! A child takes its parents' index, so that the queue can release it as soon as its own parents are done
//! (`aftercorr`), and not only when those of all are.
//!
//! Runs of one architecture may share a job (a pack): of an array whose jobs are shared by four, job 2 is that of the
//! members 8 to 11.

use super::{
    queue::{After, Earlier, How, Place},
    resources::Request,
};
use protocol::{ids::StageId, stage::StageKind};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
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
    /// Layers and width of its run.
    pub architecture: Option<(u32, u32)>,
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
    /// Its members: stages by index.
    pub members: BTreeMap<u32, StageId>,
}

type Key = (StageKind, Option<u32>, Request, Vec<After>);

/// The first `most` of these stages, in their order, that can be queued: what each waits for (its parents that are not
/// done) is placed in the queue, or goes before it.
#[must_use]
pub fn placeable<'a>(
    stages: impl IntoIterator<Item = (StageId, &'a [Parent])>,
    placed: &HashMap<StageId, Place>,
    most: usize,
) -> HashSet<StageId> {
    let mut chosen = HashSet::new();
    for (stage, parents) in stages {
        if chosen.len() == most {
            break;
        }
        let is_there = |parent: &Parent| placed.contains_key(&parent.stage) || chosen.contains(&parent.stage);
        if parents.iter().all(is_there) {
            chosen.insert(stage);
        }
    }
    chosen
}

/// The arrays for the candidates, each behind those that it waits for. `placed` tells where stages are in the
/// queue already; `most` is the largest number of jobs of an array, and no index reaches it. A candidate with a
/// parent that is neither done nor placed nor a candidate itself is left out.
#[must_use]
pub fn batches(mut candidates: Vec<Candidate>, placed: &HashMap<StageId, Place>, most: u32) -> Vec<Batch> {
    candidates.sort_by_key(|candidate| {
        // Those that may share a job side by side.
        let alike = candidate.architecture.filter(|_| candidate.request.runs() > 1);
        (candidate.kind, candidate.checkpoint, Reverse(candidate.priority), alike, candidate.stage)
    });
    let mut placed = placed.clone();
    let mut batches: Vec<Batch> = Vec::new();
    // The architecture of each array's last member.
    let mut last = Vec::new();
    let mut open: HashMap<Key, Vec<usize>> = HashMap::new();
    for candidate in candidates {
        let Some((after, fixed)) = wait(&candidate, &placed) else { continue };
        let key = (candidate.kind, candidate.checkpoint, candidate.request.clone(), after.clone());
        let chunks = open.entry(key).or_default();
        let (pack, architecture) = (candidate.request.runs(), candidate.architecture);
        let next = |batches: &[Batch], last: &[_], chunk: usize| {
            let next = batches[chunk].members.last_key_value().map_or(0, |(&index, _)| index + 1);
            if last[chunk] == architecture { next } else { next.next_multiple_of(pack) }
        };
        let room = chunks.iter().copied().find(|&chunk| match fixed {
            Some(index) => !batches[chunk].members.contains_key(&index),
            None => next(&batches, &last, chunk) / pack < most,
        });
        let position = room.unwrap_or_else(|| {
            batches.push(Batch {
                kind: candidate.kind,
                checkpoint: candidate.checkpoint,
                request: candidate.request,
                after,
                members: BTreeMap::new(),
            });
            last.push(architecture);
            chunks.push(batches.len() - 1);
            batches.len() - 1
        });
        let index = fixed.unwrap_or_else(|| next(&batches, &last, position));
        batches[position].members.insert(index, candidate.stage);
        last[position] = architecture;
        placed.insert(candidate.stage, Place { array: Earlier::New(position), member: index, pack });
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
            // One for many: its array has no other member.
            after.push(After { array: place.array, how: How::All });
        } else {
            own.push(*place);
        }
    }
    let index = own.first().map(|place| place.member);
    let pack = candidate.request.runs();
    let in_step = own.iter().all(|place| Some(place.member) == index && place.pack == pack);
    after.extend(own.iter().map(|place| After {
        array: place.array,
        how: if in_step { How::Same } else { How::Task(place.array_task()) },
    }));
    after.sort_unstable();
    after.dedup();
    Some((after, index.filter(|_| in_step)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::ids::SubmissionId;

    /// The stages of `runs` runs with the usual chain; stage 0 is the `prepare` that they share.
    fn study(runs: i64, most_wide: bool) -> Vec<Candidate> {
        let mut all = vec![Candidate {
            stage: StageId(0),
            kind: StageKind::Prepare,
            checkpoint: None,
            architecture: None,
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
                    architecture: Some((2, if run % 3 == 0 { 64 } else { 128 })),
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
        assert!(arrays[1..].iter().all(|array| array.members.len() == 1000));
        // vars and decs after means, analyze after everything.
        assert_eq!(arrays[6].after.len(), 4);
    }

    #[test]
    fn what_can_not_be_queued_takes_no_room() {
        let stages = study(2, false);
        let of = |from: usize, most| {
            let stages = stages[from..].iter().map(|stage| (stage.stage, stage.parents.as_slice()));
            let mut chosen: Vec<_> = placeable(stages, &HashMap::new(), most).into_iter().collect();
            chosen.sort_unstable();
            chosen
        };
        assert_eq!(of(0, 3), [0, 1, 2].map(StageId), "each behind one that goes before it");
        assert_eq!(of(0, 100).len(), 13);
        assert_eq!(of(1, 100), [], "nothing is known of what they wait for");
    }

    #[test]
    fn runs_of_higher_priority_come_first_in_their_array() {
        let mut stages = study(5, false);
        for stage in stages.iter_mut().filter(|stage| stage.stage.0 / 10 == 3) {
            stage.priority = 7;
        }
        let arrays = batches(stages, &HashMap::new(), 100);
        let first = |array: &Batch| array.members.first_key_value().map(|(_, stage)| stage.0 / 10);
        assert!(arrays[1..].iter().all(|array| first(array) == Some(3)));
    }

    #[test]
    fn arrays_are_cut_where_the_cluster_wants_it() {
        let arrays = batches(study(250, false), &HashMap::new(), 100);
        assert_eq!(arrays.len(), 1 + 6 * 3);
        assert!(arrays.iter().all(|array| array.members.keys().all(|&index| index < 100)));
    }

    #[test]
    fn runs_of_one_architecture_share_jobs() {
        let mut stages = study(10, false);
        for stage in stages.iter_mut().filter(|stage| stage.kind != StageKind::Prepare) {
            stage.request.pack = Some(4);
        }
        let arrays = batches(stages, &HashMap::new(), 100);
        assert_eq!(arrays.len(), 7);
        // Runs 0, 3, 6, 9 are 64 wide, the other six 128.
        let runs: Vec<_> = arrays[1].members.iter().map(|(&member, stage)| (member, stage.0 / 10)).collect();
        let expected = [(0, 0), (1, 3), (2, 6), (3, 9), (4, 1), (5, 2), (6, 4), (7, 5), (8, 7), (9, 8)];
        assert_eq!(runs, expected);
        assert!(arrays[2..].iter().all(|array| array.after.iter().all(|after| after.how == How::Same)));
        // At most so many jobs: with four in each.
        let cut = batches(
            {
                let mut stages = study(40, false);
                stages.retain(|stage| stage.kind == StageKind::Train && stage.architecture == Some((2, 128)));
                for stage in &mut stages {
                    stage.parents.clear();
                    stage.request.pack = Some(4);
                }
                stages
            },
            &HashMap::new(),
            3,
        );
        assert_eq!(cut.iter().map(|array| array.members.len()).collect::<Vec<_>>(), [12, 12, 2]);
    }

    #[test]
    fn a_stage_with_parents_at_different_indices_goes_alone() {
        let known = |n: u128| Earlier::Known(SubmissionId(uuid::Uuid::from_u128(n)));
        let placed = HashMap::from([
            (StageId(1), Place { array: known(1), member: 3, pack: 1 }),
            (StageId(2), Place { array: known(2), member: 5, pack: 1 }),
        ]);
        let candidate = Candidate {
            stage: StageId(9),
            kind: StageKind::Analyze,
            checkpoint: Some(0),
            architecture: None,
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
            packs in prop::collection::vec(prop::option::of(2..6_u32), 7), alike: bool,
        ) {
            let done: std::collections::HashSet<_> = done.into_iter().map(StageId).collect();
            let candidates: Vec<_> = study(runs, wide)
                .into_iter()
                .filter(|candidate| !done.contains(&candidate.stage))
                .map(|mut candidate| {
                    candidate.parents.retain(|parent| !done.contains(&parent.stage));
                    let pack = packs[if alike { 1 } else { candidate.kind as usize }];
                    candidate.request.pack = pack.filter(|_| candidate.kind != StageKind::Prepare);
                    candidate
                })
                .collect();
            let arrays = batches(candidates.clone(), &HashMap::new(), most);
            let mut at = HashMap::new();
            let architecture: HashMap<_, _> =
                candidates.iter().map(|candidate| (candidate.stage, candidate.architecture)).collect();
            for (position, array) in arrays.iter().enumerate() {
                let pack = array.request.runs();
                let mut shared = HashMap::new();
                for (&member, &stage) in &array.members {
                    let job = member / pack;
                    prop_assert!(job < most);
                    prop_assert!(at.insert(stage, (position, job)).is_none(), "queued twice");
                    let alike = *shared.entry(job).or_insert(architecture[&stage]);
                    prop_assert!(pack == 1 || alike == architecture[&stage], "two architectures share a job");
                }
            }
            prop_assert_eq!(at.len(), candidates.len());
            for candidate in &candidates {
                let (position, job) = at[&candidate.stage];
                for parent in &candidate.parents {
                    let (earlier, index) = at[&parent.stage];
                    prop_assert!(earlier < position);
                    let waits = arrays[position].after.iter().any(|after| {
                        after.array == Earlier::New(earlier)
                            && match after.how {
                                How::All => true,
                                How::Same => index == job,
                                How::Task(other) => other == index,
                            }
                    });
                    prop_assert!(waits, "{} does not wait for {}", candidate.kind, parent.kind);
                }
            }
        }
    }
}
