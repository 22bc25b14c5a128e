//! Tasks by the clock: so far the nightly [`backup`] of the record.

pub mod backup;

use crate::{domain::layout::Layout, store::Store};
use chrono::{DateTime, Local};
use cron::Schedule;
use std::{str::FromStr as _, time::Duration};
use tokio_util::sync::CancellationToken;

/// When the record is copied: every night at three, local time (seconds come first).
pub const BACKUP_TIME: &str = "0 0 3 * * *";

/// How often the clock is looked at. Waiting for the hour itself would miss it on a machine that slept.
const LOOK: Duration = Duration::from_secs(60);
/// The longest that a copy that failed is not tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Does what is due until `stop`. A copy that was missed while no daemon ran is made at once.
pub async fn run(store: Store, layout: Layout, stop: CancellationToken) {
    let Ok(schedule) = Schedule::from_str(BACKUP_TIME) else { return };
    // Until there is a first copy: since there is something to copy.
    let mut since = Local::now();
    match store.first_study().await {
        Ok(first) => since = first.map_or(since, |time| time.with_timezone(&Local)),
        Err(error) => tracing::warn!(%error, "can't tell how old the record is"),
    }
    let mut failures = 0;
    loop {
        let now = Local::now();
        let newest = backup::newest(&layout.backups()).map(|time| time.with_timezone(&Local));
        if is_due(&schedule, newest.unwrap_or(since), now) {
            match backup::make(&store, &layout.backups(), now.to_utc()).await {
                Ok(path) => {
                    failures = 0;
                    tracing::info!(path = %path.display(), "copied the record");
                }
                Err(error) => {
                    failures += 1;
                    let seconds = pause(failures).as_secs();
                    tracing::error!(%error, seconds, "failed to copy the record; trying again");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause(failures)) => {}
        }
    }
}

/// How long the clock is not looked at after so many failures: each of them reads all of the record.
fn pause(failures: u32) -> Duration {
    LOOK.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE)
}

/// Whether an hour of the schedule lies after `last` and not after `now`.
fn is_due(schedule: &Schedule, last: DateTime<Local>, now: DateTime<Local>) -> bool {
    schedule.after(&last).next().is_some_and(|next| next <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;

    #[tokio::test]
    async fn the_first_copy_is_made_though_no_daemon_ran_through_a_night() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let store = Store::open(&layout).await.unwrap();
        let over = CancellationToken::new();
        over.cancel();
        run(store.clone(), layout.clone(), over.clone()).await;
        assert_eq!(backup::newest(&layout.backups()), None, "there is nothing to copy");
        let spec = protocol::study::StudySpec::named("s");
        let mut tx = store.begin(|| chrono::Utc::now() - chrono::TimeDelta::days(1)).await.unwrap();
        tx.save_study(&spec).await.unwrap();
        tx.commit().await.unwrap();
        run(store, layout.clone(), over).await;
        assert!(backup::newest(&layout.backups()).is_some());
    }

    #[test]
    fn a_copy_that_fails_is_tried_less_and_less_often() {
        let minutes = [0, 1, 2, 5, 6, 1000].map(|failures| pause(failures).as_secs() / 60);
        assert_eq!(minutes, [1, 2, 4, 32, 60, 60]);
    }

    #[test]
    fn a_copy_is_due_once_a_night_and_after_a_night_that_was_missed() {
        let schedule = Schedule::from_str(BACKUP_TIME).unwrap();
        let at = |day, hour| Local.with_ymd_and_hms(2026, 6, day, hour, 0, 0).unwrap();
        assert!(!is_due(&schedule, at(1, 4), at(2, 2)));
        assert!(is_due(&schedule, at(1, 4), at(2, 3)));
        assert!(!is_due(&schedule, at(2, 3), at(2, 23)));
        assert!(is_due(&schedule, at(1, 4), at(9, 12)));
    }
}
