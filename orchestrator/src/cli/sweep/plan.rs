//! How a plan is told.

use crate::{
    cli::{
        output::{Screen, View},
        table,
    },
    domain::grid::expand,
};
use protocol::{
    keep::KeepCheckpoints,
    run::decay_is_lost,
    study::{DataSpec, StudySpec},
    view::{PlannedArray, StudyPlan},
};
use serde::Serialize;

/// Runs listed by name; the rest is counted.
const LISTED: usize = 20;

/// Values of an axis that are shown.
const SHOWN: usize = 12;

/// A plan, recorded or not.
#[derive(Serialize)]
#[serde(transparent)]
pub(in crate::cli) struct Planned<'a> {
    plan: &'a StudyPlan,
    #[serde(skip)]
    spec: &'a StudySpec,
    #[serde(skip)]
    dry_run: bool,
}

impl<'a> Planned<'a> {
    pub(in crate::cli) const fn new(plan: &'a StudyPlan, spec: &'a StudySpec, dry_run: bool) -> Self {
        Self { plan, spec, dry_run }
    }

    /// One line on the grid, one on the data, one on what is new, one where not all checkpoints are kept, one where
    /// weight decay does nothing, and one for each note.
    pub(in crate::cli) fn summary(&self) -> String {
        let StudyPlan { name, runs, new_stages, existing_stages, retried_stages, .. } = self.plan;
        let new_runs = runs.iter().filter(|run| run.new).count();
        let verb = if self.dry_run { "would add" } else { "added" };
        let added = if *new_stages == 0 && new_runs == 0 {
            "already there: nothing to add".to_owned()
        } else {
            format!("{verb} {}, {}", count(new_runs as u64, "run"), count(*new_stages, "stage"))
        };
        let existing = match existing_stages {
            0 => String::new(),
            n if *new_stages == 0 => format!(" to {}", count(*n, "stage")),
            n => format!("; {} there already", count(*n, "stage")),
        };
        let again = if self.dry_run { "would be tried again" } else { "are tried again" };
        let retried = match retried_stages {
            0 => String::new(),
            n => format!("; {n} of them {again}"),
        };
        let kept = match self.spec.training.keep_checkpoints {
            KeepCheckpoints::Newest(newest) => format!(
                "\nof each run only the newest {} kept and analysed",
                if newest.get() == 1 {
                    "checkpoint is".to_owned()
                } else {
                    format!("{newest} checkpoints are")
                }
            ),
            KeepCheckpoints::All | KeepCheckpoints::Weights => String::new(),
        };
        let notes: String = self.plan.notes.iter().map(|note| format!("\nnote: {note}")).collect();
        format!(
            "study {name}: {} ({})\n{}\n{added}{existing}{retried}{kept}{}{notes}",
            count(runs.len() as u64, "run"),
            self.axes(),
            self.data(),
            self.lost_decay()
        )
    }

    /// A line on the runs whose weight decay does nothing, if there are such.
    fn lost_decay(&self) -> String {
        let mut runs = expand(self.spec).unwrap_or_default();
        runs.retain(|run| decay_is_lost(run.training.learning_rate, run.weight_decay));
        if runs.is_empty() {
            return String::new();
        }
        let is_lost = |decay: &&f64| runs.iter().any(|run| run.weight_decay == **decay);
        let lost: Vec<_> = self.spec.grid.weight_decay.iter().filter(is_lost).map(f64::to_string).collect();
        format!(
            "\nnote: weight decay {} changes nothing in {}: 1 - learning rate x weight decay is 1 in f32",
            lost.join(", "),
            count(runs.len() as u64, "run")
        )
    }

    /// The job arrays of a cluster, what they may cost at most, and their scripts.
    fn arrays(&self, screen: Screen) -> String {
        let arrays = &self.plan.arrays;
        let hours = |array: &PlannedArray| {
            array.minutes.map(|minutes| minutes as f64 / 60.0 * f64::from(array.tasks))
        };
        let rows: Vec<_> = arrays
            .iter()
            .enumerate()
            .map(|(index, array)| {
                let gpu_hours = hours(array).map(|hours| format!("{:.1}", hours * f64::from(array.gpus)));
                vec![
                    (index + 1).to_string(),
                    table::stage_name(array.kind, array.checkpoint),
                    array.tasks.to_string(),
                    array.minutes.map_or_else(|| "the partition's".to_owned(), |m| format!("{m} min")),
                    array.gpus.to_string(),
                    gpu_hours.unwrap_or_else(|| "unknown".to_owned()),
                ]
            })
            .collect();
        let headers =
            ["array", "stage", "jobs", "time limit", "GPUs each", "GPU-hours at most"].map(str::to_owned);
        let jobs: u64 = arrays.iter().map(|array| u64::from(array.tasks)).sum();
        let gpu_hours: f64 = arrays.iter().filter_map(|a| Some(hours(a)? * f64::from(a.gpus))).sum();
        let scripts: String = arrays
            .iter()
            .enumerate()
            .map(|(index, array)| format!("\n\n# array {}\n{}", index + 1, array.script.trim_end()))
            .collect();
        format!(
            "{} in {}, {gpu_hours:.1} GPU-hours at most\n{}{scripts}",
            count(jobs, "job"),
            count(arrays.len() as u64, "array"),
            table::ruled(&headers, &rows, &[], screen)
        )
    }

    /// What it trains on.
    fn data(&self) -> String {
        let DataSpec { dataset, tokenizer, block_size, .. } = &self.spec.data;
        let made_up = if dataset == "builtin:stories" { " (synthetic stories for trying)" } else { "" };
        format!("data {dataset}{made_up}, tokenizer {tokenizer}, {block_size} tokens a sequence")
    }

    fn axes(&self) -> String {
        let grid = &self.spec.grid;
        let decays: Vec<_> = grid.weight_decay.iter().map(f64::to_string).collect();
        let axes = [
            format!("depth {}", listed(&ranges(&grid.depth.0))),
            // A range of widths would double.
            format!("width {}", listed(&grid.width.0.iter().map(u32::to_string).collect::<Vec<_>>())),
            format!("seed {}", listed(&ranges(&grid.seed.0))),
            format!("epochs {}", listed(&ranges(&grid.epochs.0))),
            format!("weight decay {}", listed(&decays)),
        ];
        axes.join(" x ")
    }
}

/// Values, three or more that follow each other as `0..9`.
fn ranges(values: &[u32]) -> Vec<String> {
    let mut parts = Vec::new();
    for part in values.chunk_by(|one, next| one.checked_add(1) == Some(*next)) {
        match part {
            [first, _, .., last] => parts.push(format!("{first}..{last}")),
            few => parts.extend(few.iter().map(u32::to_string)),
        }
    }
    parts
}

/// Parts with commas; of many the first ones and the last.
fn listed(parts: &[String]) -> String {
    match parts {
        [first @ .., last] if parts.len() > SHOWN => {
            format!("{},...,{last} ({} in all)", first[..SHOWN - 2].join(","), parts.len())
        }
        few => few.join(","),
    }
}

impl View for Planned<'_> {
    fn table(&self, screen: Screen) -> String {
        let rows: Vec<_> = self
            .plan
            .runs
            .iter()
            .take(LISTED)
            .map(|run| {
                let state = if run.new { "new" } else { "there" };
                vec![
                    run.identifier.clone(),
                    run.name.clone(),
                    run.hash[..run.hash.len().min(12)].to_owned(),
                    state.to_owned(),
                ]
            })
            .collect();
        let headers = ["run", "folder", "hash", "state"].map(str::to_owned);
        let more = match self.plan.runs.len().saturating_sub(LISTED) {
            0 => String::new(),
            n => format!("\nand {n} more"),
        };
        let runs = format!("{}\n{}{more}", self.summary(), table::ruled(&headers, &rows, &[], screen));
        if self.plan.arrays.is_empty() { runs } else { format!("{runs}\n\n{}", self.arrays(screen)) }
    }

    fn brief(&self) -> String {
        self.plan.name.clone()
    }
}

/// `1 run`, `4 runs`.
fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::Planned;
    use protocol::{
        axis::Counted,
        study::StudySpec,
        view::{PlannedRun, StudyPlan},
    };

    #[test]
    fn repeating_a_sweep_says_that_all_is_there() {
        let mut spec = StudySpec::named("s");
        spec.grid.weight_decay = vec![0.1];
        let mut plan = StudyPlan {
            name: "s".into(),
            created: false,
            runs: vec![],
            new_stages: 0,
            existing_stages: 7,
            retried_stages: 0,
            notes: vec![],
            arrays: vec![],
        };
        let told = Planned::new(&plan, &spec, false).summary();
        assert!(told.ends_with("already there: nothing to add to 7 stages"), "{told}");
        let data = "\ndata builtin:stories (synthetic stories for trying), tokenizer builtin, 2048 tokens a sequence\n";
        assert!(told.contains(data), "{told}");
        plan.retried_stages = 2;
        let again = Planned::new(&plan, &spec, true).summary();
        assert!(again.ends_with("nothing to add to 7 stages; 2 of them would be tried again"), "{again}");
        assert!(told.contains("(depth 1 x width 64 x seed 0 x epochs 1 x weight decay 0.1)"), "{told}");
        spec.grid.width = "64..512".parse().unwrap();
        spec.grid.seed = "0..9,12,13".parse().unwrap();
        let told = Planned::new(&plan, &spec, false).summary();
        assert!(told.contains("width 64,128,256,512 x seed 0..9,12,13 x"), "{told}");
        spec.grid.width = "64..6400:64".parse().unwrap();
        let told = Planned::new(&plan, &spec, false).summary();
        assert!(
            told.contains("width 64,128,192,256,320,384,448,512,576,640,...,6400 (100 in all)"),
            "{told}"
        );
    }

    #[test]
    fn runs_whose_weight_decay_does_nothing_are_told_in_one_line() {
        let mut spec = StudySpec::named("s");
        spec.grid.weight_decay = vec![0.0, 0.0005, 0.1];
        spec.grid.depth = Counted(vec![1, 2]);
        spec.grid.seed = Counted(vec![0, 1]);
        let run = |name: String| PlannedRun { identifier: name.clone(), name, hash: "0".into(), new: true };
        let plan = StudyPlan {
            name: "s".into(),
            created: false,
            runs: (0..12).map(|at| run(at.to_string())).collect(),
            new_stages: 12,
            existing_stages: 0,
            retried_stages: 0,
            notes: vec![],
            arrays: vec![],
        };
        let told = Planned::new(&plan, &spec, true).summary();
        let line =
            told.lines().filter(|line| line.contains("weight decay") && line.contains("changes nothing"));
        let expected = "note: weight decay 0.0005 changes nothing in 4 runs: 1 - learning rate x weight decay is 1 in f32";
        assert_eq!(line.collect::<Vec<_>>(), [expected]);
        let rule = "depth = 2\nlearning_rate = 1e-3";
        spec.training.rules = vec![toml::from_str(rule).unwrap()];
        let told = Planned::new(&plan, &spec, true).summary();
        assert!(told.contains("changes nothing in 2 runs"), "{told}");
        spec.training.learning_rate = 1e-3;
        let told = Planned::new(&plan, &spec, true).summary();
        assert!(!told.contains("changes nothing"), "{told}");
    }
}
