//! What may stand in a rule for resources. What rules ask for is [`resources`](super::resources).

use super::quantity::{parse_memory, parse_time};
use protocol::resources::ResourceRule;

/// What is wrong with rules, one line each; `field` is where they stand, for example `resources.rules`.
#[must_use]
pub fn violations(field: &str, rules: &[ResourceRule]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let at = format!("{field}[{index}]");
        let texts = [
            ("partition", &rule.partition),
            ("account", &rule.account),
            ("qos", &rule.qos),
            ("gres", &rule.gres),
            ("constraint", &rule.constraint),
            ("mem", &rule.mem),
            ("time", &rule.time),
        ];
        for (name, value) in texts {
            if let Some(value) = value.as_deref().filter(|value| !is_plain(value)) {
                found.push(format!(
                    "{at}.{name}: {value:?} is not accepted; use printable characters of one line"
                ));
            }
        }
        if rule.cpus == Some(0) {
            found.push(format!("{at}.cpus: 0 is not accepted; use a whole number above 0"));
        }
        if let Some(Err(why)) = rule.mem.as_deref().map(parse_memory) {
            found.push(format!("{at}.mem: {why}"));
        }
        if let Some(Err(why)) = rule.time.as_deref().map(parse_time) {
            found.push(format!("{at}.time: {why}"));
        }
        for option in rule.extra.iter().flatten() {
            if !option.starts_with("--") || !is_plain(option) {
                found.push(format!("{at}.extra: {option:?} is not accepted; use one long option each, for example --mail-type=FAIL"));
            } else if let Some(ours) = OURS.iter().find(|ours| is_option(option, ours)) {
                found.push(format!("{at}.extra: {ours} is set by the daemon itself; leave it out"));
            }
        }
    }
    found
}

/// Options that the daemon needs for itself.
const OURS: [&str; 15] = [
    "--job-name",
    "--array",
    "--dependency",
    "--output",
    "--error",
    "--chdir",
    "--signal",
    "--requeue",
    "--no-requeue",
    "--parsable",
    "--wrap",
    "--kill-on-invalid-dep",
    "--open-mode",
    // Jobs elsewhere, or none at all, would be looked for here.
    "--clusters",
    "--test-only",
];

/// Whether an option is the one of this name, which Slurm knows by its beginning as well.
fn is_option(option: &str, name: &str) -> bool {
    let word = option.split('=').next().unwrap_or_default();
    word.len() > "--".len() && name.starts_with(word)
}

/// One line of printable characters.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_accepted_is_named_with_its_place() {
        let bad = toml::from_str(
            r#"
            partition = "a\nb"
            mem = "much"
            time = "soon"
            cpus = 0
            extra = ["-p gpu", "--array=1", "--mail-type=FAIL", "--clusters=north", "--test", "--nice=5"]
            "#,
        );
        let found = violations("resources.rules", &[bad.unwrap()]);
        assert_eq!(found.len(), 8, "{found:#?}");
        assert!(found.iter().all(|line| line.starts_with("resources.rules[0].") && !line.contains('\n')));
    }
}
