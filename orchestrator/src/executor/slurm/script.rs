//! The batch script of an array, from a template.
//!
//! Values never meet a shell unquoted: `option` quotes them for `#SBATCH` lines, `shell` for the shell. What
//! neither can carry (control characters) is refused.

use crate::{
    config::profile::Profile,
    domain::{
        quantity,
        queue::{How, Queued},
        resources::Request,
    },
    executor::Order,
};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};
use protocol::{ids::SubmissionId, stage::StageKind};
use std::{collections::BTreeSet, path::Path, time::Duration};

/// The template that comes with the program.
const TEMPLATE: &str = include_str!("../../../../deploy/slurm/job.sh");

/// The name of an array's jobs: by it they are found, whatever their id.
#[must_use]
pub fn job_name(kind: StageKind, submission: SubmissionId) -> String {
    format!("lc-{kind}-{submission}")
}

/// The submission that a job's name tells.
#[must_use]
pub fn submission_of(name: &str) -> Option<SubmissionId> {
    let rest = name.strip_prefix("lc-")?;
    let (kind, id) = rest.split_at_checked(rest.len().checked_sub(36)?)?;
    kind.strip_suffix('-')?.parse::<StageKind>().ok()?;
    id.parse().ok()
}

/// Renders the script.
///
/// # Errors
/// When the template can't be read or rendered, or a value can't be written in a script: one line.
pub fn render(profile: &Profile, worker: &Path, root: &Path, order: &Order) -> Result<String, String> {
    let own = profile.template.as_ref();
    let template = match own {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|error| format!("template {}: {error}", path.display()))?
        }
        None => TEMPLATE.to_owned(),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A script is no page: nothing is escaped but by its own filters.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_filter("option", |text: String| quote_option(&text).map_err(refused));
    environment.add_filter("shell", |text: String| quote_shell(&text).map_err(refused));
    let name = own.map_or_else(|| "job.sh".to_owned(), |path| path.display().to_string());
    environment.add_template_owned(name.clone(), template).map_err(one_line)?;
    let template = environment.get_template(&name).map_err(one_line)?;
    let submission = order.submission.ok_or("only arrays have a script")?;
    let queued = || order.jobs.iter().filter_map(|job| job.queued);
    let jobs: BTreeSet<_> = queued().map(Queued::array_task).collect();
    let mut array = task_list(&jobs);
    if let Some(limit) = profile.max_running {
        array.push_str(&format!("%{limit}"));
    }
    let root_text = utf8(root)?;
    let folder = utf8(&order.folder)?;
    // In the name of an output file `%` and, within an array, `\` have a meaning.
    if folder.contains('\\') {
        return Err(format!(
            "{folder:?}: a path with a backslash can't be handed to Slurm; choose another root"
        ));
    }
    let request = &order.request;
    let mut worker_args = profile.worker_args.clone();
    // Those that share a job have logs of their own: to this goes what is said of them together.
    let mut log = format!("%a/{}", protocol::attempt::LOG_FILE);
    if request.runs() > 1 {
        worker_args.extend(["--pack".to_owned(), request.runs().to_string()]);
        log = "pack-%a.log".to_owned();
    }
    let output = format!("{}/{log}", folder.replace('%', "%%"));
    let runs = queued().count();
    let seconds = request.minutes.map(|minutes| minutes * 60);
    let signal = (profile.warn_seconds > 0 && seconds.is_none_or(|s| s >= profile.warn_seconds * 2))
        .then_some(profile.warn_seconds);
    let text = template
        .render(context! {
            job_name => job_name(order.kind, submission),
            comment => format!("{} of lcctl, {runs} task{}", order.kind, if runs == 1 { "" } else { "s" }),
            array,
            root => root_text,
            output,
            folder,
            dependency => dependency(&order.after),
            requeue => profile.requeue,
            signal,
            options => options(request),
            extra => &request.extra,
            setup => &profile.setup,
            worker => utf8(worker)?,
            worker_args,
        })
        .map_err(one_line)?;
    Ok(text + "\n")
}

/// The options of a request, in a fixed order.
fn options(request: &Request) -> Vec<(&'static str, String)> {
    let mut options = Vec::new();
    let mut set = |name, value: Option<String>| options.extend(value.map(|value| (name, value)));
    set("partition", request.partition.clone());
    set("account", request.account.clone());
    set("qos", request.qos.clone());
    set("gres", request.gres.clone());
    set("constraint", request.constraint.clone());
    set("cpus-per-task", request.cpus.map(|cpus| cpus.to_string()));
    set("mem", request.memory_mb.map(|megabytes| format!("{megabytes}M")));
    set("time", request.minutes.map(|minutes| quantity::time_text(Some(Duration::from_secs(minutes * 60)))));
    set("exclude", (!request.exclude.is_empty()).then(|| request.exclude.join(",")));
    options
}

/// The value of `--dependency`.
fn dependency(after: &[(u64, How)]) -> Option<String> {
    let words: Vec<_> = after
        .iter()
        .map(|(job, how)| match how {
            How::All => format!("afterok:{job}"),
            How::Same => format!("aftercorr:{job}"),
            How::Task(task) => format!("afterok:{job}_{task}"),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(","))
}

/// `0-9,12` for indices.
#[must_use]
pub fn task_list(tasks: &BTreeSet<u32>) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &task in tasks {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == task => *end = task,
            _ => parts.push((task, task)),
        }
    }
    let parts = parts
        .into_iter()
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    parts.collect::<Vec<_>>().join(",")
}

fn utf8(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| format!("{}: a path that is no UTF-8 can't be written into a script", path.display()))
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

fn one_line(error: Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(text: &str) -> Result<(), String> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => {
            Err(format!("{text:?} holds the control character {c:?} and can't be written into a script"))
        }
        None => Ok(()),
    }
}

/// Quotes a value of an `#SBATCH` line, where blanks separate, `#` begins a comment, and quotes and backslashes
/// are taken away.
fn quote_option(text: &str) -> Result<String, String> {
    plain(text)?;
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%^[]*".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return Ok(text.to_owned());
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// Quotes a word for the shell.
fn quote_shell(text: &str) -> Result<String, String> {
    plain(text)?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Job;
    use protocol::ids::AttemptId;
    use std::path::PathBuf;
    use uuid::Uuid;

    fn order(folder: &str, members: &[u32]) -> Order {
        let submission = SubmissionId(Uuid::from_u128(7));
        let job = |&member: &u32| Job {
            attempt: AttemptId(Uuid::from_u128(u128::from(member))),
            folder: PathBuf::from(folder).join(member.to_string()),
            slot: 0,
            queued: Some(Queued { submission, member, pack: 1, job: None }),
            restarts: 0,
        };
        Order {
            submission: Some(submission),
            kind: StageKind::Train,
            folder: folder.into(),
            jobs: members.iter().map(job).collect(),
            request: Request {
                gres: Some("gpu:a100:1".into()),
                memory_mb: Some(16384),
                minutes: Some(1500),
                extra: vec!["--mail-type=FAIL".into()],
                ..Request::default()
            },
            after: vec![(4, How::All), (5, How::Same), (6, How::Task(2))],
        }
    }

    #[test]
    fn a_script_holds_all_that_was_asked_for() {
        let profile =
            Profile { max_running: Some(8), setup: vec!["module load cuda".into()], ..Profile::default() };
        let order = order("/r/logs/train/x", &[0, 1, 2, 5]);
        let script = render(&profile, Path::new("/bin/lc-worker"), Path::new("/r"), &order).unwrap();
        for line in [
            "#!/bin/bash",
            "#SBATCH --job-name=lc-train-00000000-0000-0000-0000-000000000007",
            "#SBATCH --array=0-2,5%8",
            "#SBATCH --dependency=afterok:4,aftercorr:5,afterok:6_2",
            "#SBATCH --kill-on-invalid-dep=yes",
            "#SBATCH --no-requeue",
            "#SBATCH --signal=B:USR1@300",
            "#SBATCH --gres=gpu:a100:1",
            "#SBATCH --mem=16384M",
            "#SBATCH --time=1-01:00:00",
            "#SBATCH --mail-type=FAIL",
            "#SBATCH --output=/r/logs/train/x/%a/worker.log",
            "module load cuda",
            "exec '/bin/lc-worker' run --attempt '/r/logs/train/x'/\"$SLURM_ARRAY_TASK_ID\"/attempt.json",
        ] {
            assert!(script.lines().any(|written| written == line), "{line}\n{script}");
        }
        assert!(script.starts_with("#!/bin/bash\n"));
    }

    #[test]
    fn runs_that_share_a_job_are_one_task() {
        let mut order = order("/r/logs/train/x", &[0, 1, 2, 4, 5, 12]);
        order.request.pack = Some(4);
        for job in &mut order.jobs {
            job.queued = job.queued.map(|queued| Queued { pack: 4, ..queued });
        }
        let profile = Profile { worker_args: vec!["--fake-work".into(), "1".into()], ..Profile::default() };
        let script = render(&profile, Path::new("/bin/lc-worker"), Path::new("/r"), &order).unwrap();
        for line in [
            "#SBATCH --array=0-1,3",
            "#SBATCH --comment=\"train of lcctl, 6 tasks\"",
            "#SBATCH --output=/r/logs/train/x/pack-%a.log",
            "exec '/bin/lc-worker' run '--fake-work' '1' '--pack' '4' --attempt '/r/logs/train/x'/\"$SLURM_ARRAY_TASK_ID\"/attempt.json",
        ] {
            assert!(script.lines().any(|written| written == line), "{line}\n{script}");
        }
    }

    #[test]
    fn odd_characters_are_quoted_or_refused() {
        let profile = Profile::default();
        let strange = "/r x/it's \"$HOME\" `id` #1/Straße";
        let script = render(&profile, Path::new("/w"), Path::new(strange), &order(strange, &[0])).unwrap();
        assert!(script.contains(r#"#SBATCH --chdir="/r x/it's \"$HOME\" `id` #1/Straße""#), "{script}");
        assert!(script.contains(r#"--attempt '/r x/it'\''s "$HOME" `id` #1/Straße'/"#), "{script}");
        let why = render(&profile, Path::new("/w"), Path::new("/a\nb"), &order("/a\nb", &[0])).unwrap_err();
        assert!(why.contains("control character") && !why.contains('\n'), "{why}");
    }

    #[test]
    fn a_name_leads_to_its_submission() {
        let id = SubmissionId(Uuid::from_u128(99));
        for &kind in StageKind::ALL {
            assert_eq!(submission_of(&job_name(kind, id)), Some(id));
        }
        for other in
            ["", "lc-", "lc-train", "bash", "lc-nothing-00000000-0000-0000-0000-000000000063", "lc-é"]
        {
            assert_eq!(submission_of(other), None, "{other}");
        }
    }

    #[test]
    fn indices_become_ranges() {
        assert_eq!(task_list(&BTreeSet::from([3, 0, 1, 2, 9, 7, 8])), "0-3,7-9");
        assert_eq!(task_list(&BTreeSet::from([4])), "4");
    }
}
