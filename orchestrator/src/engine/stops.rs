//! Since when this daemon asks attempts to stop. The record tells when people wished so, which may be long before: while
//! the wish was written, or no daemon was there.

use protocol::ids::AttemptId;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

/// How long a worker may take to write a checkpoint when asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// When attempts were first asked to stop.
#[derive(Default)]
pub(super) struct Stops(HashMap<AttemptId, Instant>);

impl Stops {
    /// Those of `stopping` that had their time to stop by themselves. All others are forgotten.
    pub(super) fn due(&mut self, stopping: &HashSet<AttemptId>, now: Instant) -> HashSet<AttemptId> {
        self.0.retain(|attempt, _| stopping.contains(attempt));
        let due = self.0.iter().filter(|&(_, &asked)| now.saturating_duration_since(asked) >= GRACE);
        due.map(|(&attempt, _)| attempt).collect()
    }

    /// Whether all that were asked are over.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes that attempts were asked; what was asked before keeps its time.
    pub(super) fn asked(&mut self, attempts: impl IntoIterator<Item = AttemptId>, now: Instant) {
        for attempt in attempts {
            self.0.entry(attempt).or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn who_was_asked_is_forced_after_its_time_and_nobody_else() {
        let (mut stops, began) = (Stops::default(), Instant::now());
        let [early, late, never] = [1, 2, 3].map(|n| AttemptId(Uuid::from_u128(n)));
        let all = HashSet::from([early, late, never]);
        stops.asked([early], began);
        stops.asked([early, late], began + GRACE / 2);
        let just_before = began + GRACE - Duration::from_millis(1);
        assert_eq!(stops.due(&all, just_before), HashSet::new());
        assert_eq!(stops.due(&all, began + GRACE), HashSet::from([early]));
        assert_eq!(stops.due(&all, began + GRACE * 9), HashSet::from([early, late]));
        assert_eq!(stops.due(&HashSet::from([late]), began + GRACE * 9), HashSet::from([late]));
        assert_eq!(stops.due(&all, began + GRACE * 9), HashSet::from([late]), "what is over is forgotten");
    }
}
