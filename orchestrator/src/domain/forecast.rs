//! How long a study still takes, by the pace of its stages so far.

use protocol::stage::{StageKind, StageState};
use std::collections::HashMap;

/// A stage, as far as its time goes: only that of the attempt that runs or succeeded, not what passed between attempts.
/// Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageTime {
    /// Kind.
    pub kind: StageKind,
    /// Layers and width of its model.
    pub architecture: (u32, u32),
    /// State.
    pub state: StageState,
    /// When that attempt started.
    pub started: Option<i64>,
    /// When it ended, and the stage with it.
    pub finished: Option<i64>,
}

/// What is left.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Hours on devices; none while a kind of stage that is left was never done.
    pub hours_left: Option<f64>,
    /// When all is done, milliseconds since 1970, if as many stages go on running at once as run now.
    pub end: Option<i64>,
}

/// Mean duration in milliseconds of the stages that are done.
#[derive(Default)]
struct Pace {
    sum: f64,
    count: f64,
}

impl Pace {
    fn mean(&self) -> f64 {
        self.sum / self.count
    }
}

/// Whether a stage needs a device; preparing data and analysing don't.
#[must_use]
pub const fn on_device(kind: StageKind) -> bool {
    !matches!(kind, StageKind::Prepare | StageKind::Analyze)
}

/// The forecast. A stage takes as long as others of its kind and architecture took on average; of another
/// architecture, as long as those of its kind.
#[must_use]
pub fn forecast(stages: &[StageTime], now: i64) -> Forecast {
    let mut by_architecture: HashMap<(StageKind, (u32, u32)), Pace> = HashMap::new();
    let mut by_kind: HashMap<StageKind, Pace> = HashMap::new();
    for stage in stages.iter().filter(|stage| stage.state == StageState::Done) {
        let (Some(started), Some(finished)) = (stage.started, stage.finished) else { continue };
        let of_architecture = by_architecture.entry((stage.kind, stage.architecture)).or_default();
        for pace in [of_architecture, by_kind.entry(stage.kind).or_default()] {
            pace.sum += (finished - started).max(0) as f64;
            pace.count += 1.0;
        }
    }
    let (mut device, mut all, mut running, mut open) = (0.0, 0.0, 0.0, false);
    for stage in stages {
        let passed = match stage.state {
            StageState::Waiting | StageState::Ready | StageState::Queued => 0.0,
            StageState::Running => {
                running += 1.0;
                (now - stage.started.unwrap_or(now)) as f64
            }
            _ => continue,
        };
        open = true;
        let pace =
            by_architecture.get(&(stage.kind, stage.architecture)).or_else(|| by_kind.get(&stage.kind));
        let Some(pace) = pace else { return Forecast::default() };
        let left = (pace.mean() - passed).max(0.0);
        all += left;
        if on_device(stage.kind) {
            device += left;
        }
    }
    Forecast {
        hours_left: Some(device / 3_600_000.0),
        end: (open && running > 0.0).then(|| now + (all / running) as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(width: u32, state: StageState, started: Option<i64>, finished: Option<i64>) -> StageTime {
        StageTime { kind: StageKind::Train, architecture: (1, width), state, started, finished }
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn what_is_left_takes_as_long_as_its_like_took() {
        let stages = [
            train(64, StageState::Done, Some(0), Some(HOUR)),
            train(128, StageState::Done, Some(0), Some(3 * HOUR)),
            train(128, StageState::Waiting, None, None),
            // Of an architecture that was never done: the mean of all.
            train(256, StageState::Ready, None, None),
            train(64, StageState::Running, Some(9 * HOUR), None),
        ];
        let forecast = forecast(&stages, 9 * HOUR + HOUR / 2);
        assert_eq!(forecast.hours_left, Some(3.0 + 2.0 + 0.5));
        assert_eq!(forecast.end, Some(9 * HOUR + HOUR / 2 + 11 * HOUR / 2));
    }

    #[test]
    fn nothing_is_foretold_without_a_pace_and_nothing_is_left_at_the_end() {
        assert_eq!(forecast(&[train(64, StageState::Waiting, None, None)], 0), Forecast::default());
        let done = forecast(&[train(64, StageState::Done, Some(0), Some(HOUR))], 0);
        assert_eq!(done, Forecast { hours_left: Some(0.0), end: None });
    }
}
