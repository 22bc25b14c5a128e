//! What an attempt that went wrong has in common with others, and what to do about it.

use protocol::stage::AttemptState;

/// What is known about the end of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// Its message.
    pub message: Option<&'a str>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// In words.
    pub suggestion: String,
    /// Whether trying again without a change can help.
    pub transient: bool,
}

/// A message without what differs between attempts with the same cause: numbers, paths, ids, names of models.
#[must_use]
pub fn cause(message: &str) -> String {
    let words = message.split_whitespace().map(|word| {
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '/');
        if bare.contains('/') && bare.len() > 1 {
            return word.replace(bare, "<path>");
        }
        let digits = bare.chars().filter(char::is_ascii_digit).count();
        if digits > 0 && (bare.parse::<f64>().is_ok() || digits >= 4 || bare.contains("_0")) {
            return word.replace(bare, "<n>");
        }
        word.to_owned()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What to do about an attempt that ended in this way.
#[must_use]
pub fn advice(state: AttemptState, evidence: Evidence<'_>) -> Advice {
    let said = evidence.message.unwrap_or_default().to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let (suggestion, transient) = match state {
        AttemptState::OutOfMemory => (
            "The next attempt asks for twice the memory. If that does not fit a node, raise mem in a [[resources.rules]] of \
             the study, or lower training.batch_size (another batch size is another run) or collection.batch_size.",
            true,
        ),
        AttemptState::TimedOut => (
            "It goes on from its newest checkpoint in a new job. If an attempt came no further than the one before, the \
             next asks for twice the time; raise time in a [[resources.rules]] if the partition allows it.",
            true,
        ),
        AttemptState::NodeFailed => {
            ("The node is to blame, not the stage: it is tried again elsewhere.", true)
        }
        AttemptState::Preempted => {
            ("It made room and goes on from its newest checkpoint; nothing is lost.", true)
        }
        AttemptState::Lost => match evidence.signal {
            Some(9) => (
                "Killed from outside, most often because the machine ran out of memory: look at dmesg, give it more \
                 memory or run fewer workers at once.",
                true,
            ),
            Some(4 | 7 | 8 | 11) => (
                "The program crashed: a fault of the worker or of the machine. Try again; if it happens on other nodes, \
                 too, report it with the end of the log.",
                true,
            ),
            _ => {
                ("It ended without a word: look at the end of its log and at the node, then try again.", true)
            }
        },
        _ if has(&["no space", "disk full", "os error 28", "quota"]) => {
            ("The disk or quota is full: make room under LC_ROOT, then retry.", false)
        }
        _ if has(&["nan", "not finite", "diverged", "infinite loss"]) => (
            "Training diverged: lower training.learning_rate or max_grad_norm, or try bf16 -> f32; another try with the \
             same settings ends the same.",
            false,
        ),
        _ if has(&["cuda", "driver", "gpu", "nvrtc"]) => (
            "The GPU or its driver could not be used: look at nvidia-smi on that node, or leave it \
             out: extra = [\"--exclude=NODE\"] in a rule of the profile.",
            true,
        ),
        _ if has(&["out of memory", "allocation", "oom"]) => {
            ("Not enough memory: lower the batch size, or give it more memory.", false)
        }
        _ if has(&["no such file", "not found", "missing", "does not exist"]) => {
            ("A file or dataset is missing where the worker looks: put it there, then retry.", false)
        }
        _ if has(&["timed out", "connection", "unreachable", "network", "dns"]) => {
            ("The network failed: try again once it is back.", true)
        }
        _ if evidence.exit_code == Some(protocol::exit::USAGE) => (
            "The worker refused its input: change what the message names, then retry; for other settings 'lcctl remove' \
                 the study and sweep again.",
            false,
        ),
        _ => ("Read the end of the log; retry once its cause is gone.", false),
    };
    Advice { suggestion: suggestion.to_owned(), transient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_attempts_is_left_out() {
        let a = cause("/scratch/a/models/01x0064_01d00/config.json: no such file (os error 2)");
        let b = cause("/scratch/a/models/02x0128_01d07/config.json: no such file (os error 2)");
        assert_eq!(a, b);
        assert_ne!(a, cause("loss is NaN at step 17"));
        assert_eq!(cause("loss is NaN at step 17"), cause("loss is NaN at step 2003"));
    }

    #[test]
    fn every_end_has_advice_that_fits() {
        let of = |state, message: &str, signal| {
            advice(state, Evidence { message: Some(message), exit_code: None, signal })
        };
        assert!(of(AttemptState::OutOfMemory, "", None).suggestion.contains("batch_size"));
        assert!(of(AttemptState::Lost, "", Some(9)).suggestion.contains("memory"));
        let diverged = of(AttemptState::Failed, "loss is NaN at step 3", None);
        assert!(diverged.suggestion.contains("learning_rate") && !diverged.transient);
        assert!(!of(AttemptState::Failed, "write: No space left on device", None).transient);
        for &state in AttemptState::ALL {
            assert!(!of(state, "", None).suggestion.is_empty());
        }
    }
}
