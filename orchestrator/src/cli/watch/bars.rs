//! The live view: one bar for the study, and one per stage that runs.

use super::{
    Display,
    board::{Board, Moved},
};
use crate::cli::table;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use protocol::{ids::StageId, stage::StageState};
use std::{collections::BTreeMap, fmt::Write, time::Duration};

/// Redraw of spinners and elapsed times.
const TICK: Duration = Duration::from_millis(200);
const OVERALL: &str = "{prefix:16!} {bar:24} {pos:>5}/{len} stages  {elapsed}  {msg}";
const STAGE: &str = "{prefix:28!} {bar:24} {pos:>7}/{len:7} {rate:>9} eta {eta:>4}  {wide_msg}";
const UNKNOWN: &str = "{prefix:28!} {spinner} starting {elapsed}  {wide_msg}";

/// Bars on standard error.
pub(super) struct Bars {
    all: MultiProgress,
    overall: ProgressBar,
    stages: BTreeMap<StageId, ProgressBar>,
}

impl Bars {
    pub(super) fn new(study: &str) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let overall = all.add(ProgressBar::new(0).with_style(style(OVERALL)).with_prefix(study.to_owned()));
        overall.enable_steady_tick(TICK);
        Self { all, overall, stages: BTreeMap::new() }
    }
}

impl Display for Bars {
    fn update(&mut self, board: &Board) {
        let (over, total) = board.progress();
        self.overall.set_length(total);
        self.overall.set_position(over);
        let running: BTreeMap<_, _> = board.running().map(|entry| (entry.stage.id, entry)).collect();
        self.stages.retain(|id, bar| {
            let stays = running.contains_key(id);
            if !stays {
                bar.finish_and_clear();
                self.all.remove(bar);
            }
            stays
        });
        for (id, entry) in running {
            let stage = &entry.stage;
            let bar = self.stages.entry(id).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(0).with_style(style(UNKNOWN)));
                bar.set_prefix(format!(
                    "{} {}",
                    entry.label,
                    table::stage_name(stage.kind, stage.checkpoint)
                ));
                bar.enable_steady_tick(TICK);
                bar
            });
            if let Some(progress) = &stage.progress {
                if progress.total > 0 && bar.length() != Some(progress.total) {
                    bar.set_style(style(STAGE));
                    bar.set_length(progress.total);
                    // Work that an earlier attempt or an earlier look saw is no speed of today.
                    bar.reset_elapsed();
                    bar.set_position(progress.done);
                    bar.reset_eta();
                }
                bar.set_position(progress.done);
                let loss = board.loss(stage).map(|loss| format!("loss {loss:.3}"));
                bar.set_message(loss.unwrap_or_else(|| progress.unit.clone()));
            }
        }
    }

    fn moved(&mut self, moved: &Moved) {
        let stage = &moved.entry.stage;
        if matches!(stage.state, StageState::Failed | StageState::Cancelled) {
            self.say(&super::told(moved));
        }
    }

    fn say(&mut self, text: &str) {
        // The terminal is gone: so is the reader.
        let _gone = self.all.println(text);
    }

    fn end(&mut self) {
        for bar in self.stages.values() {
            bar.finish_and_clear();
        }
        self.overall.finish();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are constants").progress_chars("━╸─").with_key(
        "rate",
        |state: &ProgressState, out: &mut dyn Write| {
            // A bar that could not be written has no other place to say so.
            let _lost = write!(out, "{:.1}/s", state.per_sec());
        },
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_template_is_sound() {
        for template in [super::OVERALL, super::STAGE, super::UNKNOWN] {
            super::style(template);
        }
    }
}
