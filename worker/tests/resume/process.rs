//! The real program on small data: started, stopped at a known place, ended by real signals.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Tokens per sequence.
pub const LENGTH: usize = 32;
const PATIENCE: Duration = Duration::from_secs(120);

const CONFIG: &str = r#"{"model_type": "gpt_neo", "hidden_size": 32, "num_layers": 2, "num_heads": 2,
    "attention_types": [[["global", "local"], 1]], "window_size": 8, "resid_dropout": 0.1}"#;

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stderr: String,
}

impl Ended {
    /// The one line on standard error that has all these parts.
    pub fn line(&self, parts: &[&str]) -> &str {
        let fits = |line: &&str| parts.iter().all(|part| line.contains(part));
        let lines: Vec<_> = self.stderr.lines().filter(fits).collect();
        assert_eq!(lines.len(), 1, "{parts:?} in {self:?}");
        lines[0]
    }

    /// The number after `words` on standard error, if they are there.
    pub fn number_after(&self, words: &str) -> Option<u64> {
        let (_, rest) = self.stderr.split_once(words)?;
        rest.split_whitespace().next()?.parse().ok()
    }

    /// Refused as bad input in one line that has all these parts.
    pub fn assert_refused(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{self:?}");
        self.line(&[&["error: "], parts].concat());
    }
}

/// A folder with prepared data and a configuration.
pub struct Place {
    root: tempfile::TempDir,
}

impl Place {
    /// With so many train and validation sequences of made-up tokens.
    pub fn with(train: usize, validation: usize) -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        for (split, count, start) in [("train", train, 7_u32), ("validation", validation, 99)] {
            let mut state = start;
            let bytes: Vec<u8> = (0..count * LENGTH)
                .flat_map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((state >> 16) % 53).to_le_bytes()
                })
                .collect();
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::I32, vec![count, LENGTH], &bytes);
            let file = safetensors::serialize([("input_ids", view.unwrap())], None).unwrap();
            fs::write(place.path(&format!("{split}.safetensors")), file).unwrap();
        }
        fs::write(place.path("config.json"), CONFIG).unwrap();
        place.succeed(&format!(
            "prepare --dataset train.safetensors --validation validation.safetensors --tokenizer builtin \
             --block-size {LENGTH} --out data"
        ));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The program in this folder; its words are separated by spaces.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lc-worker"));
        command.args(words.split_whitespace()).current_dir(self.root.path()).env_remove("LC_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, words: &str) -> Ended {
        ended(self.command(words).spawn().unwrap())
    }

    pub fn succeed(&self, words: &str) -> Ended {
        let ended = self.run(words);
        assert_eq!(ended.code, Some(0), "{words}: {ended:?}");
        ended
    }

    /// Runs the program until `position` is at least `target`, holds it there, and ends it with `signal`.
    /// Gives the position at which it was held: none if it had ended before.
    pub fn interrupt(
        &self,
        words: &str,
        signal: Signal,
        target: u64,
        position: impl Fn() -> u64,
    ) -> (Option<u64>, Ended) {
        let child = self.command(words).spawn().unwrap();
        let process = Pid::from_raw(child.id().try_into().unwrap());
        let deadline = Instant::now() + PATIENCE;
        let until = |done: &dyn Fn() -> bool| {
            while !done() && !has_ended(process) {
                assert!(Instant::now() < deadline, "{words}: not at {target}, but at {}", position());
                sleep(Duration::from_millis(1));
            }
            !has_ended(process)
        };
        let mut held = None;
        if until(&|| position() >= target) {
            kill(process, Signal::SIGSTOP).unwrap();
            if until(&|| state(process) == Some('T')) {
                held = Some(position());
                kill(process, signal).unwrap();
                kill(process, Signal::SIGCONT).unwrap();
            }
        }
        (held, ended(child))
    }
}

/// Waits for the end of the program.
pub fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        signal: output.status.signal(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The state of a process's first thread, which does the work: `T` is stopped, `Z` has ended.
fn state(process: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn has_ended(process: Pid) -> bool {
    state(process).is_none_or(|state| state == 'Z')
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every file of the checkpoints in a model folder, by path; nothing else may be left there.
pub fn checkpoints(model: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for name in names(model).iter().filter(|name| model.join(name).is_dir() && !name.starts_with("damaged-"))
    {
        assert!(name.starts_with("checkpoint-"), "{name} was left behind");
        for file in names(&model.join(name)) {
            all.push((format!("{name}/{file}"), fs::read(model.join(name).join(&file)).unwrap()));
        }
    }
    all
}

/// Asserts that two model folders have the same checkpoints, byte for byte.
pub fn assert_same(model: &Path, expected: &Path) {
    let (found, expected) = (checkpoints(model), checkpoints(expected));
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for ((name, bytes), (_, wanted)) in found.iter().zip(&expected) {
        assert!(bytes == wanted, "{name} differs");
    }
}

/// What the log of a model folder says about its steps, without times.
pub fn steps(model: &Path) -> Vec<String> {
    let text = fs::read_to_string(model.join("train_log.jsonl")).unwrap_or_default();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        ["step", "epoch", "loss", "learning_rate", "grad_norm", "tokens"]
            .map(|key| line[key].to_string())
            .join(" ")
    };
    text.lines().map(line).collect()
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(from, to).map(drop).unwrap() }
    }
}

/// Steps in the log so far; a line that is being written does not count.
pub fn logged(model: &Path) -> u64 {
    fs::read(model.join("train_log.jsonl")).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count()
        as u64
}
