//! Why `sbatch` failed, and whether the job is in the queue all the same: only what the controller says
//! after it has decided, and what `sbatch` says before it asks, proves that it isn't.

use super::{
    reason,
    texts::{Kind, is_lost, known},
};

/// What a failed `sbatch` means. Each holds one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no job, and asking again gives the same answer.
    Wrong(String),
    /// There is no job, and asking again gives the same answer, unless it is for fewer tasks.
    Array(String),
    /// There is no job, but there may be one later: a limit is reached or the controller is busy.
    Limit(String),
    /// There is no job: the controller could not be asked.
    Away(String),
    /// There may be a job: look for it by its mark before asking again.
    Unclear(String),
}

const FINAL: &str = "Batch job submission failed:";

/// Reads the exit code (`None`: killed by a signal) and stderr of a failed `sbatch`. When in doubt it is
/// [`Refusal::Unclear`].
///
/// Only lines that begin with `sbatch:` count; there may be banners. After `Batch job submission failed`
/// there is the controller's answer, or why there was none. Without that line `sbatch` gave up before it
/// asked.
#[must_use]
pub fn refusal(code: Option<i32>, stderr: &str) -> Refusal {
    let lines = Lines::of(stderr);
    let message = lines.message(code, stderr);
    // A shell between us and sbatch says 128 and the signal's number.
    let ended_by_itself = code.is_some_and(|code| code == 255 || (1..128).contains(&code));
    match lines.kind(code).filter(|_| ended_by_itself) {
        Some(Kind::Wrong) => Refusal::Wrong(message),
        Some(Kind::Array) => Refusal::Array(message),
        Some(Kind::Limit) => Refusal::Limit(message),
        Some(Kind::Away) => Refusal::Away(message),
        None => Refusal::Unclear(message),
    }
}

/// What `sbatch` itself said.
struct Lines<'a> {
    /// `sbatch: error:` and `sbatch: fatal:`, without that.
    errors: Vec<&'a str>,
    /// Other lines with `sbatch:`, without that: messages of the site's plugins, complaints about options.
    others: Vec<&'a str>,
}

impl<'a> Lines<'a> {
    fn of(stderr: &'a str) -> Self {
        let (mut errors, mut others) = (Vec::new(), Vec::new());
        for line in stderr.lines() {
            let Some(text) = line.trim().strip_prefix("sbatch:").map(str::trim) else { continue };
            match text.strip_prefix("error:").or_else(|| text.strip_prefix("fatal:")) {
                Some(error) => errors.push(error.trim()),
                None => others.push(text),
            }
        }
        errors.retain(|line| !line.is_empty());
        others.retain(|line| !line.is_empty());
        Self { errors, others }
    }

    fn kind(&self, code: Option<i32>) -> Option<Kind> {
        let all = || self.errors.iter().chain(&self.others);
        if all().any(|line| is_lost(line)) {
            return None;
        }
        if let Some(answer) = self.errors.iter().rev().find_map(|line| line.strip_prefix(FINAL)) {
            return self.kind_of_answer(answer.trim());
        }
        let early = self.errors.iter().rev().find_map(|line| known(line));
        early.or_else(|| {
            let usage = !self.errors.is_empty() || self.others.iter().any(|line| is_about_an_option(line));
            (code == Some(255) && usage).then_some(Kind::Wrong)
        })
    }

    fn kind_of_answer(&self, answer: &str) -> Option<Kind> {
        let lower = answer.to_ascii_lowercase();
        if lower.starts_with("job violates accounting/qos policy") {
            // The lines before it name the limit. One on the size of a job doesn't go away.
            let mut words = self.errors.iter().flat_map(|line| line.split([' ', ',', ':', ';']));
            let hopeless = words.any(reason::hopeless);
            return Some(if hopeless { Kind::Wrong } else { Kind::Limit });
        }
        if lower == "unspecified error" {
            // What the plugins of sites answer, after a message of their own. Without one it may be
            // anything.
            let is_explained = self.errors.len() > 1 || !self.others.is_empty();
            return is_explained.then_some(Kind::Wrong);
        }
        let unreachable = ["connection refused", "no route to host", "network is unreachable"];
        if unreachable.contains(&lower.as_str()) {
            return Some(Kind::Away);
        }
        // All the controller's answers of this form speak of the job, but those on credentials.
        let is_invalid = lower.starts_with("invalid ") && !lower.contains("credential");
        known(answer).or(is_invalid.then_some(Kind::Wrong))
    }

    fn message(&self, code: Option<i32>, stderr: &str) -> String {
        let mut lines: Vec<&str> = if self.errors.len() > 1 || self.others.is_empty() {
            self.errors.clone()
        } else {
            self.others.iter().chain(&self.errors).copied().collect()
        };
        if lines.is_empty() {
            lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        }
        let mut message = String::new();
        for line in lines {
            let line = line.strip_prefix(FINAL).unwrap_or(line);
            let words = line.split(|c: char| c.is_whitespace() || c.is_control());
            let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            if line.is_empty() || message.contains(&line) {
                continue;
            }
            if !message.is_empty() {
                message.push_str(if goes_on(&line) { " " } else { "; " });
            }
            message.push_str(&line);
        }
        match (message.is_empty(), code) {
            (true, None) => "sbatch was killed before it said anything".to_owned(),
            (true, Some(code)) => format!("sbatch ended with exit code {code} and said nothing"),
            (false, _) => shortened(message),
        }
    }
}

/// The complaints of `getopt_long`.
fn is_about_an_option(line: &str) -> bool {
    ["unrecognized option", "invalid option", "option '"].iter().any(|start| line.starts_with(start))
}

/// Whether a line goes on with the sentence of the line before.
fn goes_on(line: &str) -> bool {
    let word = line.split(' ').next().unwrap_or_default();
    word.chars().all(|c| c.is_ascii_lowercase())
}

fn shortened(message: String) -> String {
    const MOST: usize = 500;
    match message.char_indices().nth(MOST).and_then(|(end, _)| message.get(..end)) {
        Some(start) => format!("{start}..."),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            commands::{Outcome, sample},
            sbatch::job_id,
        },
        Refusal::*,
        *,
    };

    fn refused(section: &str, command: &str) -> Refusal {
        let Outcome { code, stdout, stderr } = sample(section, command);
        assert_eq!(job_id(&stdout), None, "{command}");
        refusal(Some(code), &stderr)
    }

    fn failed(text: &str) -> Refusal {
        refusal(Some(1), &format!("sbatch: error: Batch job submission failed: {text}\n"))
    }

    #[test]
    fn what_can_never_be_accepted_is_wrong() {
        for (command, message) in [
            (
                "sbatch -p nosuch --wrap true",
                "invalid partition specified: nosuch; Invalid partition name specified",
            ),
            ("sbatch --gres=gpu:9 --wrap true", "Requested node configuration is not available"),
            (
                "sbatch --mem=900G --wrap true",
                "Memory specification can not be satisfied; Requested node configuration is not available",
            ),
            ("sbatch -d afterok:abc --wrap true", "Job dependency problem"),
            ("sbatch -t bogus --wrap true", "Invalid --time specification"),
            ("sbatch -w nosuchnode --wrap true", "Invalid node name specified"),
            ("sbatch /nonexistent.sh", "Unable to open file /nonexistent.sh"),
            (
                "sbatch noshebang.sh",
                "This does not look like a batch script. The first line must start with #! followed by the \
                 path to an interpreter.; For instance: #!/bin/sh",
            ),
            ("sbatch --nosuchoption --wrap true", "unrecognized option '--nosuchoption'"),
        ] {
            assert_eq!(refused("", command), Wrong(message.to_owned()), "{command}");
        }
        for text in [
            "Invalid account or account/partition combination specified",
            "Invalid qos specification",
            "Invalid generic resource (gres) specification",
            "Invalid GRES specification (with and without type identification)",
            "Invalid user id",
            "Requested time limit is invalid (missing or exceeds some limit)",
            "User's group not permitted to use this partition",
            "Access/permission denied",
            "Pathname of a file, directory or other parameter too long",
            "Circular job dependency",
            "Invalid new thing",
        ] {
            assert_eq!(failed(text), Wrong(text.to_owned()));
        }
    }

    #[test]
    fn an_array_that_is_too_large_may_be_accepted_in_parts() {
        let too_large = refused("", "sbatch -a 0-20000 --wrap true");
        assert_eq!(too_large, Refusal::Array("Invalid job array specification".to_owned()));
    }

    #[test]
    fn what_may_be_accepted_later_is_a_limit() {
        for text in [
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "Resource temporarily unavailable",
            "Unable to create job record, try again",
            "MaxJobCount limit reached",
            "Rate limit exceeded, please retry momentarily",
            "System submissions disabled",
            "Required partition not available (inactive or drain)",
        ] {
            assert_eq!(failed(text), Limit(text.to_owned()));
        }
        let busy = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n";
        let message = "Slurm temporarily unable to accept job, sleeping and retrying";
        assert_eq!(refusal(Some(1), busy), Limit(message.to_owned()));
        let gave_up =
            format!("{busy}sbatch: error: Batch job submission failed: Resource temporarily unavailable");
        assert_eq!(refusal(Some(1), &gave_up), Limit(format!("{message}; Resource temporarily unavailable")));
    }

    #[test]
    fn a_policy_on_the_size_of_a_job_is_wrong_and_one_on_their_number_a_limit() {
        let policy = |limit: &str| {
            refusal(
                Some(1),
                &format!(
                    "sbatch: error: {limit}\nsbatch: error: Batch job submission failed: Job violates \
                     accounting/QOS policy (job submit limit, user's size and/or time limits)\n"
                ),
            )
        };
        for limit in [
            "AssocMaxSubmitJobLimit",
            "QOSMaxSubmitJobPerUserLimit",
            "AssocGrpSubmitJobsLimit",
            "AssocGrpGRES",
        ] {
            assert!(matches!(policy(limit), Limit(text) if text.starts_with(limit)), "{limit}");
        }
        for limit in
            ["QOSMaxWallDurationPerJobLimit", "QOSMaxNodePerJobLimit", "QOSMinGRES", "AssocMaxCpuPerJobLimit"]
        {
            assert!(matches!(policy(limit), Wrong(text) if text.starts_with(limit)), "{limit}");
        }
    }

    #[test]
    fn a_controller_that_was_never_reached_is_away() {
        let down = "Unable to contact slurm controller (connect failure)";
        assert_eq!(refused("##### slurmctld not", "sbatch --parsable --wrap true"), Away(down.to_owned()));
        let Away(munge) = refused("##### munged not", "sbatch --parsable --wrap true") else { panic!() };
        assert!(munge.starts_with("If munged is up, restart"), "{munge}");
        assert!(munge.ends_with("has authentication error; Protocol authentication error"), "{munge}");
        let source = "sbatch: error: fetch_config: DNS SRV lookup failed\n\
            sbatch: error: _establish_config_source: failed to fetch config\n\
            sbatch: fatal: Could not establish a configuration source\n";
        assert!(matches!(refusal(Some(1), source), Away(text) if text.contains("; Could not establish")));
        for text in ["Slurm backup controller in standby mode", "Connection refused"] {
            assert_eq!(failed(text), Away(text.to_owned()));
        }
    }

    #[test]
    fn a_lost_answer_is_unclear() {
        let hung = "Socket timed out on send/recv operation";
        assert_eq!(
            refused("##### slurmctld stopped", "sbatch --parsable -J phantom --wrap true"),
            Unclear(hung.to_owned())
        );
        for text in [
            "Zero Bytes were transmitted or received",
            "Unexpected message received",
            "Unable to contact slurm controller (send failure)",
            "Unable to contact slurm controller (receive failure)",
            "Message receive failure",
            "Connection timed out",
            "Connection reset by peer",
            "Interrupted system call",
            "Invalid authentication credential",
            "Unspecified error",
            "Slurm internal error, contact system administrator",
            "Something new",
            "",
        ] {
            assert!(matches!(failed(text), Unclear(_)), "{text}");
        }
    }

    #[test]
    fn a_lost_answer_outweighs_what_was_said_before_and_after() {
        let lost = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n";
        let busy = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n";
        let wrong = "sbatch: error: Batch job submission failed: Invalid qos specification\n";
        for stderr in [format!("{busy}{lost}"), format!("{wrong}{lost}"), format!("{lost}{wrong}")] {
            assert!(matches!(refusal(Some(1), &stderr), Unclear(_)), "{stderr}");
            assert!(matches!(refusal(Some(255), &stderr), Unclear(_)), "{stderr}");
        }
        let answer = "sbatch: error: slurm_unpack_received_msg: auth_g_verify: \
            RESPONSE_SUBMIT_BATCH_JOB has authentication error: Unspecified error\n\
            sbatch: error: Batch job submission failed: Protocol authentication error\n";
        assert!(matches!(refusal(Some(1), answer), Unclear(_)));
    }

    #[test]
    fn a_killed_sbatch_is_unclear_whatever_it_said() {
        let stderr = "sbatch: error: Batch job submission failed: Invalid qos specification\n";
        for code in [None, Some(0), Some(137), Some(143), Some(-1)] {
            assert_eq!(refusal(code, stderr), Unclear("Invalid qos specification".to_owned()), "{code:?}");
        }
        assert_eq!(refusal(None, ""), Unclear("sbatch was killed before it said anything".to_owned()));
        assert_eq!(
            refusal(Some(1), " \n"),
            Unclear("sbatch ended with exit code 1 and said nothing".to_owned())
        );
    }

    #[test]
    fn banners_do_not_count() {
        let stderr = "Invalid partition name specified\n** maintenance on Monday **\n";
        assert!(matches!(refusal(Some(1), stderr), Unclear(text) if text.contains("maintenance")));
        assert!(matches!(refusal(Some(255), "Connection to login1 closed.\n"), Unclear(_)));
        assert!(matches!(refusal(Some(255), "sbatch: Welcome\n"), Unclear(_)));
        let with_error =
            format!("{stderr}sbatch: error: Batch job submission failed: Job dependency problem\n");
        assert_eq!(refusal(Some(1), &with_error), Wrong("Job dependency problem".to_owned()));
    }

    #[test]
    fn a_site_explains_its_own_refusals() {
        let stderr = "sbatch: Please give an account.\n\
            sbatch: error: Batch job submission failed: Unspecified error\n";
        assert_eq!(refusal(Some(1), stderr), Wrong("Please give an account.; Unspecified error".to_owned()));
    }

    #[test]
    fn a_message_is_one_short_line() {
        let long = format!("sbatch: error: \u{1b}[31m{}\nsbatch: error: b\tc\n", "\u{e4}".repeat(2000));
        let Unclear(message) = refusal(Some(1), &long) else { panic!() };
        assert_eq!(message.chars().count(), 503);
        assert!(!message.contains(char::is_control) && message.ends_with("..."));
    }
}
