//! What `sbatch` says: the number of the new job, or why there is none.

pub use super::{
    refusal::{Refusal, refusal},
    texts::controller_away,
};

/// The id in the output of `sbatch --parsable` that ended with exit code 0: the last line that is `ID`,
/// `ID;cluster` or `Submitted batch job ID`. Lines around it, such as banners, don't matter.
#[must_use]
pub fn job_id(stdout: &str) -> Option<u64> {
    stdout.lines().rev().find_map(id_of)
}

fn id_of(line: &str) -> Option<u64> {
    let line = line.trim();
    let id = if let Some(rest) = line.strip_prefix("Submitted batch job ") {
        rest.split_once(" on cluster ").map_or(rest, |(id, _)| id)
    } else {
        let (id, cluster) = line.split_once(';').unwrap_or((line, "-"));
        if cluster.is_empty() || cluster.contains(|c: char| c.is_whitespace() || c == ';') {
            return None;
        }
        id
    };
    // Ids have 32 bits: longer numbers are something else, such as a date.
    let is_number = id.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| id.parse::<u32>().ok()).flatten().filter(|&id| id > 0).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::{super::commands::sample, *};

    #[test]
    fn the_id_is_the_last_line_that_is_one() {
        assert_eq!(job_id(&sample("", "sbatch --wrap true").stdout), Some(38));
        assert_eq!(job_id(&sample("", "sbatch --parsable --wrap true").stdout), Some(39));
        for (stdout, id) in [
            ("39", Some(39)),
            ("39;lab\n", Some(39)),
            ("Welcome!\n2026\n39;lab\nHave 5 nice jobs\n", Some(39)),
            ("39\r\n\n", Some(39)),
            ("Submitted batch job 38 on cluster lab\n", Some(38)),
            ("", None),
            ("0", None),
            ("-3", None),
            ("+3", None),
            ("39;", None),
            ("39;a b", None),
            ("39 40", None),
            ("20261123145528", None),
            ("Submitted batch job", None),
            ("Submitted batch job x", None),
        ] {
            assert_eq!(job_id(stdout), id, "{stdout:?}");
        }
    }
}
