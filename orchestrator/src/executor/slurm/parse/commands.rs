//! The commands of `samples/errors.txt`: what they printed, and how they ended.

/// Each begins with `### ` and the command; a line with `##### ` says what was down from there on.
pub(super) const SAMPLES: &str = include_str!("samples/errors.txt");

/// What a command did.
pub(super) struct Outcome {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// The first outcome of a command after a line that begins with `section` (empty: from the start).
pub(super) fn sample(section: &str, command: &str) -> Outcome {
    let from = SAMPLES.find(section).unwrap();
    let start = format!("### {command}\n");
    let at = SAMPLES[from..].find(&start).unwrap_or_else(|| panic!("no sample of {command}"));
    let block = SAMPLES[from + at + start.len()..].split("\n\n").next().unwrap();
    let of = |prefix: &str| {
        block
            .lines()
            .filter_map(|line| line.strip_prefix(prefix))
            .fold(String::new(), |text, line| text + line + "\n")
    };
    Outcome { code: of("rc=").trim().parse().unwrap(), stdout: of("stdout: "), stderr: of("stderr: ") }
}
