//! Places in a cluster's queue, and how arrays wait for each other there.
//!
//! The stages of an array are its members, each with an index of its own. The queue knows jobs alone, and counts them
//! itself: where several members share a job, they share its index.

use protocol::ids::SubmissionId;

/// Where a stage is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its array.
    pub array: Earlier,
    /// Its index there.
    pub member: u32,
    /// How many members share a job there.
    pub pack: u32,
}

impl Place {
    /// The queue's own index of its job.
    #[must_use]
    pub const fn array_task(self) -> u32 {
        array_task(self.member, self.pack)
    }
}

/// Where an attempt is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its array.
    pub submission: SubmissionId,
    /// Its index there.
    pub member: u32,
    /// How many members share a job there.
    pub pack: u32,
    /// The array's id in the queue, where known.
    pub job: Option<u64>,
}

impl Queued {
    /// The queue's own index of its job, the same for all that share it.
    #[must_use]
    pub const fn array_task(self) -> u32 {
        array_task(self.member, self.pack)
    }
}

/// The task of an array in the queue that a member of the array is in, where so many members share each.
#[must_use]
pub const fn array_task(member: u32, pack: u32) -> u32 {
    member / pack
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
    /// Every job waits for all of the other's.
    All,
    /// Every job waits for the other's job of the same index.
    Same,
    /// All wait for this job of the other.
    Task(u32),
}
