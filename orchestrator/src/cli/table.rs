//! Tables: ruled on a terminal, plain columns elsewhere.

use super::output::Screen;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle, presets};
use protocol::{
    real::Real,
    stage::{StageKind, StageState},
    view::{StageCounts, StageView},
};

/// A rule below the headers and no other: rows stay as close as people read them.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with headers; columns listed in `right` hold numbers.
pub(super) fn ruled(headers: &[String], rows: &[Vec<String>], right: &[usize], screen: Screen) -> String {
    let mut table = Table::new();
    table.load_style(if screen.is_terminal() { RULED } else { presets::NOTHING });
    match screen.width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.force_no_tty(),
    };
    table.set_header(headers);
    table.add_rows(rows);
    for &index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if !screen.is_terminal()
        && let Some(first) = table.column_mut(0)
    {
        first.set_padding((0, 1));
    }
    table.trim_fmt()
}

/// Pairs of a name and a value, one a line.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let wide = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{name:wide$}  {value}\n")).collect()
}

/// A measure with enough digits to compare, a count with all of them.
pub(super) fn number(value: Real) -> String {
    let x = value.0;
    let size = x.abs();
    if !x.is_finite() || (x.fract() == 0.0 && size < 1e15) {
        format!("{x}")
    } else if (1e-3..1e6).contains(&size) {
        // Five significant digits.
        let before = size.log10().floor();
        format!("{x:.*}", (4.0 - before).clamp(0.0, 8.0) as usize)
    } else {
        format!("{x:.4e}")
    }
}

/// `a/b` as a whole percentage, never 100 before the end.
pub(super) fn percent(done: u64, total: u64) -> Option<u64> {
    (total > 0).then(|| (u128::from(done.min(total)) * 100 / u128::from(total)) as u64)
}

/// How a state looks.
pub(super) const fn symbol(state: StageState) -> char {
    match state {
        StageState::Waiting => '·',
        StageState::Ready => '○',
        StageState::Queued => '◌',
        StageState::Running => '▶',
        StageState::Done => '✓',
        StageState::Failed => '✗',
        StageState::Cancelled => '⊘',
        StageState::Skipped => '–',
    }
}

/// `train`, `evaluate@0`.
pub(super) fn stage_name(kind: StageKind, checkpoint: Option<u32>) -> String {
    match checkpoint {
        Some(checkpoint) => format!("{kind}@{checkpoint}"),
        None => kind.to_string(),
    }
}

/// `✓ done`, `▶ running 45 %`.
pub(super) fn state(stage: &StageView) -> String {
    let progress = match (&stage.progress, stage.state) {
        (Some(progress), StageState::Running) => percent(progress.done, progress.total),
        _ => None,
    };
    let word = format!("{} {}", symbol(stage.state), stage.state);
    progress.map_or_else(|| word.clone(), |percent| format!("{word} {percent} %"))
}

/// `7 done, 2 running, 1 waiting`: only what there is.
pub(super) fn counts(counts: &StageCounts) -> String {
    let parts: Vec<_> = each(counts)
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Stages in all.
pub(super) fn total(counts: &StageCounts) -> u64 {
    each(counts).iter().map(|(_, count)| count).sum()
}

fn each(counts: &StageCounts) -> [(StageState, u64); 8] {
    [
        (StageState::Done, counts.done),
        (StageState::Running, counts.running),
        (StageState::Queued, counts.queued),
        (StageState::Ready, counts.ready),
        (StageState::Waiting, counts.waiting),
        (StageState::Failed, counts.failed),
        (StageState::Cancelled, counts.cancelled),
        (StageState::Skipped, counts.skipped),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Screen, number, percent, ruled};
    use protocol::real::Real;

    #[test]
    fn numbers_keep_five_digits_and_counts_all() {
        let told = |x| number(Real(x));
        assert_eq!(
            [told(3_397_440.0), told(12.345_678), told(0.001_234_567), told(1.5e-7), told(f64::NAN)],
            ["3397440", "12.346", "0.0012346", "1.5000e-7", "NaN"]
        );
    }

    #[test]
    fn a_plain_table_starts_at_the_margin_and_has_no_rules() {
        let rows = [vec!["a".to_owned(), "1".to_owned()]];
        let text = ruled(&["name".to_owned(), "runs".to_owned()], &rows, &[1], Screen { width: None });
        assert_eq!(text, "name  runs\na        1");
    }

    #[test]
    fn an_unknown_total_has_no_percentage() {
        assert_eq!(percent(5, 0), None);
        assert_eq!(percent(999, 1000), Some(99));
    }
}
