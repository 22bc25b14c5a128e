//! The plain view: one line for each change of state.

use super::{
    Display,
    board::{Board, Moved},
};
use crate::cli::output::Output;
use protocol::stage::StageState;

/// Lines for a pipe or a file.
pub(super) struct Lines {
    out: Output,
    /// Whether lines are the answer (standard output) or go along with it (standard error).
    answer: bool,
}

impl Lines {
    pub(super) const fn new(out: Output, answer: bool) -> Self {
        Self { out, answer }
    }
}

impl Display for Lines {
    fn update(&mut self, _board: &Board) {}

    fn moved(&mut self, moved: &Moved) {
        // Ready and queued come and go within moments; a reader of lines wants what took time.
        if moved.entry.stage.state == StageState::Running || moved.entry.stage.state.is_final() {
            let line = super::told(moved);
            if self.answer {
                // A closed pipe ends the process at the answer.
                let _closed = self.out.stream(&line);
            } else {
                self.out.note(&line);
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.out.note(text);
    }

    fn end(&mut self) {}
}
