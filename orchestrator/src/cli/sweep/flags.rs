//! The flags of `lcctl sweep` that make or change a study, in the order of the study file.

use crate::{
    cli::{failure::Failure, usage},
    config::study::{is_path, located},
};
use clap::{Args, Parser, ValueHint, builder::PossibleValuesParser};
use protocol::{
    axis::{Counted, Doubled},
    keep::KeepCheckpoints,
    resources::{Pack, ResourceRule},
    settings::{Device, Dtype, Order},
    study::{Checkpoints, StudySpec},
    words::{UnknownWord, whole},
};
use std::{path::Path, str::FromStr};

/// Study settings as flags; each goes over the study file.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct StudyFlags {
    /// Texts: builtin:stories, a folder, a file, or hf:owner/name [default: builtin:stories, synthetic stories for trying]
    #[arg(long, value_name = "SOURCE", env = "LC_DATASET", hide_env_values = true, help_heading = "Data", value_hint = ValueHint::AnyPath)]
    dataset: Option<String>,
    /// Tokenizer: builtin, a tokenizer.json, or hf:owner/name [default: builtin, made from those stories]
    #[arg(long, value_name = "SOURCE", env = "LC_TOKENIZER", hide_env_values = true, help_heading = "Data", value_hint = ValueHint::FilePath)]
    tokenizer: Option<String>,
    /// File with validation texts, where the dataset has none
    #[arg(long, value_name = "FILE", help_heading = "Data", value_hint = ValueHint::FilePath)]
    validation: Option<String>,
    /// Tokens per sequence [default: 2048]
    #[arg(long, value_name = "N", value_parser = at_least_two, help_heading = "Data")]
    block_size: Option<u32>,
    /// Contiguous shards before chunking [default: 2]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Data")]
    shards: Option<u32>,

    /// Numbers of layers: 1,2,4 or 1..4 [default: 1]
    #[arg(long, value_name = "AXIS", help_heading = "Grid (every combination is one run)")]
    depth: Option<Counted>,
    /// Widths: 32,64, or 64..1024 (doubling), or 64..1024:64 (steps of 64) [default: 64]
    #[arg(long, value_name = "AXIS", help_heading = "Grid (every combination is one run)")]
    width: Option<Doubled>,
    /// Seeds: 0..9 [default: 0]
    #[arg(long, value_name = "AXIS", help_heading = "Grid (every combination is one run)")]
    seed: Option<Counted>,
    /// Numbers of epochs: 1,3,10 [default: 1]
    #[arg(long, value_name = "AXIS", help_heading = "Grid (every combination is one run)")]
    epochs: Option<Counted>,
    /// Weight decays: 0, 0.0005 and 0.1 have letters; others need a study file with decay_letters [default: 0.0005]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = real)]
    #[arg(help_heading = "Grid (every combination is one run)")]
    weight_decay: Option<Vec<f64>>,

    /// Attention heads; must divide every width [default: 16]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Model")]
    heads: Option<u32>,
    /// Tokens seen by local attention [default: 256]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Model")]
    window: Option<u32>,
    /// Vocabulary [default: the tokenizer's]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Model")]
    vocab_size: Option<u32>,
    /// Dropout, 0 or more and less than 1 [default: 0]
    #[arg(long, value_name = "P", value_parser = real, help_heading = "Model")]
    dropout: Option<f64>,

    /// Sequences per step [default: 16]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Training")]
    batch_size: Option<u32>,
    /// Peak learning rate; falls linearly to zero [default: 5e-5]
    #[arg(long, value_name = "X", value_parser = real, help_heading = "Training")]
    learning_rate: Option<f64>,
    /// Gradients are scaled down to this norm [default: 1]
    #[arg(long, value_name = "X", value_parser = real, help_heading = "Training")]
    max_grad_norm: Option<f64>,
    /// Stop after so many steps; only with one epoch [default: those of all epochs]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u64>, help_heading = "Training")]
    max_steps: Option<u64>,
    /// Order of the sequences [default: shuffled]
    #[arg(long, value_name = "ORDER", value_parser = PossibleValuesParser::new(Order::words()))]
    #[arg(help_heading = "Training")]
    order: Option<String>,
    /// Number format of training [default: f32]
    #[arg(long, value_name = "TYPE", value_parser = PossibleValuesParser::new(Dtype::words()))]
    #[arg(help_heading = "Training")]
    dtype: Option<String>,
    /// What is kept of the checkpoints, one per epoch: all, weights (the optimizer's state only of the newest)
    /// or a number (the newest so many; only they are analysed) [default: all]
    #[arg(long, value_name = "WHAT", help_heading = "Training")]
    keep_checkpoints: Option<KeepCheckpoints>,

    /// Which checkpoints are evaluated, collected and analysed (there is one per epoch) [default: all]
    #[arg(long, value_name = "WHICH", value_parser = PossibleValuesParser::new(["all", "last"]))]
    #[arg(help_heading = "Collection and analysis")]
    checkpoints: Option<String>,
    /// Sequences per batch of collection and evaluation [default: 8]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Collection and analysis")]
    collect_batch_size: Option<u32>,
    /// Batches between two saves of unfinished statistics [default: 1024]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Collection and analysis")]
    save_every: Option<u32>,
    /// Take variances from the sums that come with the means, without reading the data again
    #[arg(long, conflicts_with = "covariance", help_heading = "Collection and analysis")]
    one_pass: bool,
    /// Collect the covariance around the class means, too, which the covariance ratios need
    #[arg(long, help_heading = "Collection and analysis")]
    covariance: bool,
    /// Measure groups, or all [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Collection and analysis")]
    measures: Option<Vec<String>>,
    /// Keep classes with at least so many train samples [default: 1]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Collection and analysis")]
    min_per_class: Option<u32>,
    /// Keep classes with fewer train samples than this [default: no limit]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Collection and analysis")]
    max_per_class: Option<u32>,

    /// Where stages run: auto, cpu, cuda, cuda:N or vulkan [default: auto]
    #[arg(long, value_name = "DEVICE", env = "LC_DEVICE", hide_env_values = true, value_parser = device, help_heading = "Resources")]
    device: Option<String>,
    /// Tries per stage without progress; what is marked permanent is not tried again [default: 3]
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>, help_heading = "Resources")]
    attempts: Option<u32>,
    /// Runs of one architecture that share a cluster's job and GPU: auto or a number [default: what the rules say, else 1]
    #[arg(long, value_name = "N", help_heading = "Resources")]
    pack: Option<Pack>,
}

impl StudyFlags {
    /// What the environment says, for commands without these flags.
    ///
    /// # Errors
    /// When it holds what is not accepted.
    pub(in crate::cli) fn of_environment() -> Result<Self, Failure> {
        #[derive(Parser)]
        struct Environment {
            #[command(flatten)]
            flags: StudyFlags,
        }
        let of_environment = Environment::try_parse_from(["lcctl"]);
        of_environment
            .map(|found| found.flags)
            .map_err(|error| Failure::Usage(usage::line(&error, &["lcctl".into(), "sweep".into()])))
    }

    /// Whether an axis of the grid is given.
    pub(super) const fn names_a_grid(&self) -> bool {
        self.depth.is_some()
            || self.width.is_some()
            || self.seed.is_some()
            || self.epochs.is_some()
            || self.weight_decay.is_some()
    }

    /// Whether the flag of `data.<key>` is given.
    pub(super) fn gives_data(&self, key: &str) -> bool {
        match key {
            "dataset" => self.dataset.is_some(),
            "tokenizer" => self.tokenizer.is_some(),
            _ => self.validation.is_some(),
        }
    }

    /// Lays the flags over a study; relative paths are relative to `here`.
    ///
    /// # Errors
    /// When a path does not exist.
    pub(super) fn lay_over(self, spec: &mut StudySpec, here: &Path) -> Result<(), Failure> {
        set(&mut spec.data.dataset, existing("--dataset", self.dataset, here)?);
        set(&mut spec.data.tokenizer, existing("--tokenizer", self.tokenizer, here)?);
        set_some(&mut spec.data.validation, existing("--validation", self.validation, here)?);
        set(&mut spec.data.block_size, self.block_size);
        set(&mut spec.data.shards, self.shards);
        set(&mut spec.grid.depth, self.depth);
        set(&mut spec.grid.width, self.width);
        set(&mut spec.grid.seed, self.seed);
        set(&mut spec.grid.epochs, self.epochs);
        set(&mut spec.grid.weight_decay, self.weight_decay);
        set(&mut spec.model.heads, self.heads);
        set(&mut spec.model.window, self.window);
        set_some(&mut spec.model.vocab_size, self.vocab_size);
        set(&mut spec.model.dropout, self.dropout);
        // A flag is meant for all architectures, whatever rules of the file say.
        let (size, rate) = (self.batch_size, self.learning_rate);
        spec.training.rules.retain_mut(|rule| {
            let before = (rule.batch_size, rule.learning_rate);
            rule.batch_size = rule.batch_size.filter(|_| size.is_none());
            rule.learning_rate = rule.learning_rate.filter(|_| rate.is_none());
            // One that never said anything is for the check of the study to refuse.
            let now = (rule.batch_size, rule.learning_rate);
            now == before || now != (None, None)
        });
        set(&mut spec.training.batch_size, self.batch_size);
        set(&mut spec.training.learning_rate, self.learning_rate);
        set(&mut spec.training.max_grad_norm, self.max_grad_norm);
        set_some(&mut spec.training.max_steps, self.max_steps);
        set(&mut spec.training.order, self.order);
        set(&mut spec.training.dtype, self.dtype);
        set(&mut spec.training.keep_checkpoints, self.keep_checkpoints);
        let checkpoints = self.checkpoints.map(|which| match which.as_str() {
            "last" => Checkpoints::Last,
            _ => Checkpoints::All,
        });
        set(&mut spec.collection.checkpoints, checkpoints);
        set(&mut spec.collection.batch_size, self.collect_batch_size);
        set(&mut spec.collection.save_every, self.save_every);
        spec.collection.one_pass |= self.one_pass;
        spec.collection.covariance |= self.covariance;
        set(&mut spec.analysis.measures, self.measures);
        set(&mut spec.analysis.min_per_class, self.min_per_class);
        set_some(&mut spec.analysis.max_per_class, self.max_per_class);
        set(&mut spec.resources.device, self.device);
        set(&mut spec.resources.attempts, self.attempts);
        if self.pack.is_some() {
            spec.resources.rules.push(ResourceRule { pack: self.pack, ..ResourceRule::default() });
        }
        Ok(())
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn set_some<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

fn existing(flag: &str, given: Option<String>, here: &Path) -> Result<Option<String>, Failure> {
    let Some(given) = given else { return Ok(None) };
    let found = located(&given, here);
    if is_path(&found) && !Path::new(&found).exists() {
        let named = match flag {
            "--dataset" => "; accepted: a folder, a file, builtin:stories or hf:owner/name",
            "--tokenizer" => "; accepted: a tokenizer.json, builtin or hf:owner/name",
            _ => "",
        };
        return Err(Failure::Usage(format!("{flag} {given}: no such file or folder{named}")));
    }
    Ok(Some(found))
}

/// A finite number; `nan` parses as a float but is no setting.
fn real(text: &str) -> Result<f64, String> {
    let value = text.trim().parse::<f64>().ok().filter(|x| x.is_finite() && *x >= 0.0);
    value.ok_or_else(|| "expected a number of at least 0, for example 0.0005 or 5e-5".to_owned())
}

/// A whole number from 1 up.
fn at_least_one<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    whole(text, 1)
}

/// A whole number from 2 up.
fn at_least_two(text: &str) -> Result<u32, String> {
    whole(text, 2)
}

fn device(text: &str) -> Result<String, UnknownWord> {
    text.parse::<Device>().map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::StudyFlags;
    use clap::{Args as _, FromArgMatches as _};
    use protocol::study::StudySpec;
    use std::path::Path;

    #[test]
    fn a_flag_goes_over_the_rules_of_a_file() {
        let file = "[[rules]]\ndepth = 4\nbatch_size = 8\nlearning_rate = 1e-4\n[[rules]]\ndepth = 12\nbatch_size = 4";
        let with = |flags: &[&str]| {
            let command = StudyFlags::augment_args(clap::Command::new("sweep"));
            let matches = command.try_get_matches_from([&["sweep"], flags].concat()).unwrap();
            let mut spec = StudySpec::named("s");
            spec.training = toml::from_str(file).unwrap();
            StudyFlags::from_arg_matches(&matches)
                .unwrap()
                .lay_over(&mut spec, Path::new("/"))
                .unwrap_or_else(|_| panic!());
            spec.training
        };
        assert_eq!(with(&[]).rules.len(), 2);
        assert_eq!(with(&["--order", "sequential"]).rules.len(), 2);
        let training = with(&["--batch-size", "2"]);
        assert_eq!((training.batch_size, training.rules.len()), (2, 1));
        assert_eq!((training.rules[0].batch_size, training.rules[0].learning_rate), (None, Some(1e-4)));
        assert!(with(&["--batch-size", "2", "--learning-rate", "1e-3"]).rules.is_empty());
    }

    #[test]
    fn the_help_names_the_defaults_of_a_study() {
        let spec = serde_json::to_value(StudySpec::named("s")).unwrap();
        let command = StudyFlags::augment_args(clap::Command::new("sweep"));
        let help = |flag: &str| {
            let argument =
                command.get_arguments().find(|argument| argument.get_long() == Some(flag)).unwrap();
            argument.get_help().unwrap().to_string()
        };
        let plain = |value: &serde_json::Value| match value {
            serde_json::Value::Array(values) if values.len() == 1 => values[0].clone(),
            other => other.clone(),
        };
        for (flag, at) in [
            ("dataset", "/data/dataset"),
            ("tokenizer", "/data/tokenizer"),
            ("block-size", "/data/block_size"),
            ("shards", "/data/shards"),
            ("depth", "/grid/depth"),
            ("width", "/grid/width"),
            ("seed", "/grid/seed"),
            ("epochs", "/grid/epochs"),
            ("weight-decay", "/grid/weight_decay"),
            ("heads", "/model/heads"),
            ("window", "/model/window"),
            ("dropout", "/model/dropout"),
            ("batch-size", "/training/batch_size"),
            ("learning-rate", "/training/learning_rate"),
            ("max-grad-norm", "/training/max_grad_norm"),
            ("order", "/training/order"),
            ("dtype", "/training/dtype"),
            ("checkpoints", "/collection/checkpoints"),
            ("collect-batch-size", "/collection/batch_size"),
            ("save-every", "/collection/save_every"),
            ("measures", "/analysis/measures"),
            ("min-per-class", "/analysis/min_per_class"),
            ("device", "/resources/device"),
            ("attempts", "/resources/attempts"),
        ] {
            let value = plain(spec.pointer(at).unwrap());
            let help = help(flag);
            let told = help.rsplit_once("[default: ").unwrap_or_else(|| panic!("{flag}: {help}")).1;
            let told = told.trim_end_matches(']').split(',').next().unwrap();
            let same = match value.as_f64() {
                Some(number) => told.parse() == Ok(number),
                None => value.as_str() == Some(told),
            };
            assert!(same, "--{flag}: {help}, but {value}");
        }
    }
}
