//! Times and durations, in words that read well in a table.

use chrono::{DateTime, Local, TimeDelta, Utc};

/// `8 s`, `2 min 05 s`, `1 h 12 min`, `3 d 4 h`.
pub(super) fn span(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long something took from `start` to `end`, or takes until `now`.
pub(super) fn took(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    start.map(|start| span(end.unwrap_or(now) - start)).unwrap_or_default()
}

/// A point in time by the clock on the wall.
pub(super) fn clock(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::{span, took};
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn spans_keep_two_units() {
        let told = |seconds| span(TimeDelta::seconds(seconds));
        assert_eq!(
            [told(-1), told(59), told(125), told(4350), told(273_600)],
            ["0 s", "59 s", "2 min 05 s", "1 h 12 min", "3 d 4 h"]
        );
    }

    #[test]
    fn what_runs_is_measured_until_now() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        assert_eq!(took(Some(at(0)), None, at(30)), "30 s");
        assert_eq!(took(Some(at(0)), Some(at(10)), at(30)), "10 s");
        assert_eq!(took(None, None, at(30)), "");
    }
}
