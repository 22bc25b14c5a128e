//! When jobs may be handed over: minutes named by cron expressions.

use chrono::{DateTime, Local, Timelike as _};
use cron::Schedule;
use std::str::FromStr as _;

/// Submission windows; without one it is always open.
#[derive(Clone, Debug, Default)]
pub struct Windows(Vec<Schedule>);

impl Windows {
    /// From cron expressions (seconds first; Sunday is 1).
    ///
    /// # Errors
    /// When one is none: one line.
    pub fn new(expressions: &[String]) -> Result<Self, String> {
        let parsed = expressions.iter().map(|text| {
            Schedule::from_str(text).map_err(|_| {
                format!("{text:?} is no cron expression; write second, minute, hour, day, month and weekday, for example \"* * 18-23 * * *\"")
            })
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the minute of `now` lies in a window.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Local>) -> bool {
        let minute = now.with_second(0).and_then(|now| now.with_nanosecond(0)).unwrap_or(now);
        let end = minute + chrono::TimeDelta::seconds(59);
        let before = minute - chrono::TimeDelta::seconds(1);
        self.0.is_empty() || self.0.iter().any(|s| s.after(&before).next().is_some_and(|next| next <= end))
    }

    /// When the next window opens, if none is open.
    #[must_use]
    pub fn opens(&self, now: DateTime<Local>) -> Option<DateTime<Local>> {
        if self.is_open(now) {
            return None;
        }
        self.0.iter().filter_map(|schedule| schedule.after(&now).next()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;

    #[test]
    fn a_window_is_every_minute_that_an_expression_names() {
        let windows = Windows::new(&["* * 18-23 * * *".to_owned(), "0 30 12 * * *".to_owned()]).unwrap();
        let at = |hour, minute, second| Local.with_ymd_and_hms(2026, 6, 1, hour, minute, second).unwrap();
        assert!(windows.is_open(at(18, 0, 0)) && windows.is_open(at(23, 59, 59)));
        assert!(windows.is_open(at(12, 30, 45)), "a minute is open as a whole");
        assert!(!windows.is_open(at(12, 31, 0)) && !windows.is_open(at(17, 59, 59)));
        assert_eq!(windows.opens(at(13, 0, 0)), Some(at(18, 0, 0)));
        assert_eq!(windows.opens(at(19, 0, 0)), None);
        assert!(Windows::default().is_open(at(3, 0, 0)));
        assert!(Windows::new(&["18-23".to_owned()]).is_err());
    }
}
