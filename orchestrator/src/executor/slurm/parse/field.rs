//! One field of a line.

/// Words by which Slurm says that there is nothing.
const NOTHING: [&str; 8] = ["", "(null)", "n/a", "none", "none assigned", "unknown", "not_set", "invalid"];

/// The field without blanks around it, unless it says that there is nothing.
pub(super) fn present(field: &str) -> Option<String> {
    let field = field.trim();
    (!NOTHING.iter().any(|nothing| field.eq_ignore_ascii_case(nothing))).then(|| field.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurms_words_for_nothing_are_nothing() {
        for nothing in ["", "  ", "(null)", "N/A", "n/a", "None", "None assigned", "Unknown"] {
            assert_eq!(present(nothing), None, "{nothing:?}");
        }
        assert_eq!(present(" n[1-2] "), Some("n[1-2]".to_owned()));
        assert_eq!(present("Nonesuch"), Some("Nonesuch".to_owned()));
    }
}
