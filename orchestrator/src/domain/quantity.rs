//! Time limits and amounts of memory, in Slurm's notation and out of it.

use std::time::Duration;

const TIME: &str = "accepted are minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S (such as 2-12:00:00) and UNLIMITED";
const MEMORY: &str =
    "accepted is a whole number of MB, or one with K, M, G or T, such as 64000 or 16G (powers of 1024)";

/// Slurm counts the seconds of a limit in 32 bits.
const LONGEST: u64 = i32::MAX as u64;

/// A time limit; `None` is no limit. Zero is no limit either: that is what `sbatch --time=0` asks for.
///
/// # Errors
/// One line that says what is accepted.
pub fn parse_time(text: &str) -> Result<Option<Duration>, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("infinite") || text.eq_ignore_ascii_case("unlimited") {
        return Ok(None);
    }
    let seconds = seconds(text)
        .filter(|&seconds| seconds <= LONGEST)
        .ok_or_else(|| format!("{text:?} is no time limit: {TIME}"))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

fn seconds(text: &str) -> Option<u64> {
    let (days, clock) = text.split_once('-').map_or((None, text), |(days, clock)| (Some(days), clock));
    let parts = clock.split(':').map(number).collect::<Option<Vec<u64>>>()?;
    let [days, hours, minutes, seconds] = match (days, parts.as_slice()) {
        (None, &[minutes]) => [0, 0, minutes, 0],
        (None, &[minutes, seconds]) => [0, 0, minutes, seconds],
        (None, &[hours, minutes, seconds]) => [0, hours, minutes, seconds],
        (Some(days), &[hours]) => [number(days)?, hours, 0, 0],
        (Some(days), &[hours, minutes]) => [number(days)?, hours, minutes, 0],
        (Some(days), &[hours, minutes, seconds]) => [number(days)?, hours, minutes, seconds],
        _ => return None,
    };
    let hours = days.checked_mul(24)?.checked_add(hours)?;
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    minutes.checked_mul(60)?.checked_add(seconds)
}

/// The limit as `D-HH:MM:SS`, or `UNLIMITED`. A part of a second counts as a whole one, and a limit is at
/// least one second: `0-00:00:00` would be none.
#[must_use]
pub fn time_text(limit: Option<Duration>) -> String {
    let Some(limit) = limit else { return "UNLIMITED".to_owned() };
    let whole = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0)).max(1);
    let (days, hours) = (whole / 86400, whole / 3600 % 24);
    format!("{days}-{hours:02}:{:02}:{:02}", whole / 60 % 60, whole % 60)
}

/// An amount of memory in MB (2^20 bytes). Without a unit it is MB; part of a MB counts as a whole one.
/// 0 stands for all the memory of a node, as in `sbatch --mem=0`.
///
/// # Errors
/// One line that says what is accepted.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    megabytes(text.trim()).ok_or_else(|| format!("{:?} is no amount of memory: {MEMORY}", text.trim()))
}

fn megabytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let amount = number(digits)?;
    match text.strip_prefix(digits)?.to_ascii_uppercase().as_str() {
        "K" | "KB" => Some(amount.div_ceil(1 << 10)),
        "" | "M" | "MB" => Some(amount),
        "G" | "GB" => amount.checked_mul(1 << 10),
        "T" | "TB" => amount.checked_mul(1 << 20),
        _ => None,
    }
}

/// MB in the largest unit that holds them exactly: `64000M`, `16G`, `1T`.
#[must_use]
pub fn memory_text(megabytes: u64) -> String {
    let is_multiple = |unit: u64| megabytes > 0 && megabytes.is_multiple_of(unit);
    if is_multiple(1 << 20) {
        format!("{}T", megabytes >> 20)
    } else if is_multiple(1 << 10) {
        format!("{}G", megabytes >> 10)
    } else {
        format!("{megabytes}M")
    }
}

/// Digits and nothing else: `parse` alone would take a sign.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_limit_is_read() {
        for (text, seconds) in [
            ("1", 60),
            (" 90 ", 90 * 60),
            ("30:00", 1800),
            ("0:20", 20),
            ("1:00:00", 3600),
            ("2-0", 172_800),
            ("2-12", 216_000),
            ("1-1:1", 90_060),
            ("7-00:00:00", 604_800),
            ("1-02:03:04", 93_784),
            ("0-00:90:00", 5400),
        ] {
            assert_eq!(parse_time(text), Ok(Some(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["infinite", "UNLIMITED", "Infinite", "0", "0:00", "0-0"] {
            assert_eq!(parse_time(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_bad_limit_says_what_is_accepted() {
        for text in [
            "",
            "-",
            "1-",
            "-1",
            "1:",
            ":1",
            "1:2:3:4",
            "1-2:3:4:5",
            "1h",
            "+5",
            "1.5",
            "1--2",
            "1- 2",
            "bogus",
            "NOT_SET",
            "99999999999999999999",
            "24856-0",
            "18446744073709551615-0",
        ] {
            let error = parse_time(text).unwrap_err();
            assert!(error.contains("D-H:M:S") && error.contains(&format!("{text:?}")), "{error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn a_limit_is_written_in_one_form() {
        let text = |seconds| time_text(Some(Duration::from_secs(seconds)));
        assert_eq!(text(60), "0-00:01:00");
        assert_eq!(text(93_784), "1-02:03:04");
        assert_eq!(text(864_000), "10-00:00:00");
        assert_eq!(time_text(None), "UNLIMITED");
        assert_eq!(time_text(Some(Duration::from_millis(59_001))), "0-00:01:00");
        assert_eq!(time_text(Some(Duration::ZERO)), "0-00:00:01");
        assert!(time_text(Some(Duration::MAX)).ends_with("15"));
        for seconds in [1, 59, 60, 3599, 86_399, 86_400, LONGEST] {
            assert_eq!(parse_time(&text(seconds)), Ok(Some(Duration::from_secs(seconds))));
        }
    }

    #[test]
    fn memory_is_read_and_written() {
        for (text, megabytes) in [
            ("64000", 64000),
            ("64000M", 64000),
            ("16G", 16384),
            ("16gb", 16384),
            ("1T", 1_048_576),
            ("512K", 1),
            ("2048K", 2),
            ("2049K", 3),
            ("0", 0),
        ] {
            assert_eq!(parse_memory(text), Ok(megabytes), "{text}");
        }
        for (megabytes, text) in
            [(0, "0M"), (100, "100M"), (64000, "64000M"), (16384, "16G"), (1_048_576, "1T")]
        {
            assert_eq!(memory_text(megabytes), text);
            assert_eq!(parse_memory(text), Ok(megabytes));
        }
    }

    #[test]
    fn bad_memory_says_what_is_accepted() {
        for text in [
            "",
            "G",
            "-1",
            "+1",
            "1.5G",
            "16 G",
            "16P",
            "16GiB",
            "99999999999999999999",
            "18446744073709551615T",
        ] {
            let error = parse_memory(text).unwrap_err();
            assert!(error.contains("16G") && !error.contains('\n'), "{error}");
        }
    }
}
