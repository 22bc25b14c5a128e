//! The real `lcctl` against a daemon that is played.

mod played;

use assert_cmd::Command;
use played::Played;
use protocol::{
    ids::{ChangeId, RunId, StageId},
    output::MeasureRow,
    real::Real,
    run::RunConfig,
    stage::{StageKind, StageState},
    study::{Checkpoints, StudySpec},
    table::{Acted, Action, ActionVerb},
    view::{
        Change, ChangeBody, Changed, Health, LogTail, PlannedRun, RemovedStudy, Results, RunDetail,
        RunSummary, StageCounts, StageView, StudyDetail, StudyPage, StudyPlan, StudyState, StudySummary,
    },
};
use std::{io::BufRead as _, path::Path, process::Stdio};

fn command(home: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lcctl"));
    command.env_clear().env("HOME", home).env("LC_ROOT", home.join("root")).current_dir(home);
    command
}

fn run(home: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::from_std(command(home)).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn daemon(home: &Path) -> Played {
    let root = home.join("root");
    Played::start(&root, &root)
}

fn stage(id: i64, kind: StageKind, state: StageState, reason: Option<&str>) -> StageView {
    StageView {
        id: StageId(id),
        run: (kind != StageKind::Prepare).then_some(RunId(1)),
        kind,
        checkpoint: kind.per_checkpoint().then_some(0),
        state,
        progress: None,
        attempts: 1,
        started: None,
        attempt_started: None,
        finished: None,
        reason: reason.map(str::to_owned),
    }
}

fn study(state: StudyState, stages: Vec<StageView>) -> StudyDetail {
    let of = |state| stages.iter().filter(|stage| stage.state == state).count() as u64;
    let counts = StageCounts {
        waiting: of(StageState::Waiting),
        ready: of(StageState::Ready),
        queued: of(StageState::Queued),
        running: of(StageState::Running),
        done: of(StageState::Done),
        failed: of(StageState::Failed),
        cancelled: of(StageState::Cancelled),
        skipped: of(StageState::Skipped),
    };
    StudyDetail {
        summary: StudySummary {
            name: "s".into(),
            state,
            created: chrono::DateTime::UNIX_EPOCH,
            finished: None,
            runs: 1,
            stages: counts,
            results: None,
            gpu_hours: 0.0,
            gpu_hours_left: None,
            expected_end: None,
            origin: None,
        },
        spec: StudySpec::named("s"),
        runs: vec![RunSummary {
            id: RunId(1),
            identifier: "01x0032_01d00".into(),
            name: "01x0032_01d00".into(),
            hash: "abcdef0123456789".into(),
            layers: 1,
            width: 32,
            seed: 0,
            epochs: 1,
            weight_decay: 0.0005,
            priority: 0,
            stages,
        }],
    }
}

fn event(id: i64, stage: StageView) -> String {
    let change = Change { id: ChangeId(id), studies: vec!["s".into()], body: ChangeBody::Stage { stage } };
    format!("id: {id}\nevent: stage\ndata: {}\n\n", serde_json::to_string(&change).unwrap())
}

#[test]
fn watching_goes_on_across_a_restart_from_the_last_event() {
    use StageKind::Train;
    let home = home();
    let root = home.path().join("root");
    let first = daemon(home.path());
    first.answers(
        "GET /studies/s",
        &study(StudyState::Active, vec![stage(2, Train, StageState::Queued, None)]),
    );
    // The stream ends after one event, as when a daemon is killed.
    first.says("GET /changes", 200, event(7, stage(2, Train, StageState::Running, None)));

    let mut watch = command(home.path())
        .args(["watch", "s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "▶ 01x0032_01d00 train running");
    drop(first);
    let mut notes = std::io::BufReader::new(watch.stderr.take().unwrap()).lines();
    assert!(notes.next().unwrap().unwrap().contains("the daemon is away"));

    let second = Played::start(&root, &root);
    second.says("GET /changes", 200, String::new());
    second.answers("GET /studies/s", &study(StudyState::Done, vec![stage(2, Train, StageState::Done, None)]));
    assert_eq!(lines.next().unwrap().unwrap(), "✓ 01x0032_01d00 train done");
    assert!(lines.next().unwrap().unwrap().starts_with("study s is done"));
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    let resumed = second.asked("GET /changes");
    assert_eq!(resumed[0].last_event.as_deref(), Some("7"));
}

#[test]
fn why_nothing_is_started_is_told_by_status_and_to_those_who_watch() {
    let home = home();
    let daemon = daemon(home.path());
    let why = "/opt/lc-worker: is not a program (any more); nothing is started until it is there";
    let well = played::health(&home.path().join("root"));
    daemon.answers("GET /health", &Health { trouble: Some(why.to_owned()), ..well });
    let stages = vec![stage(1, StageKind::Prepare, StageState::Ready, Some(why))];
    daemon.answers("GET /studies/s", &study(StudyState::Active, stages));
    daemon.says("GET /changes", 200, String::new());
    let (code, _, stderr) = run(home.path(), &["status", "s"]);
    assert_eq!((code, stderr.trim()), (0, why));

    let mut watch = command(home.path())
        .args(["watch", "s"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut notes = std::io::BufReader::new(watch.stderr.take().unwrap()).lines();
    assert_eq!(notes.next().unwrap().unwrap(), why);
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_failed_study_is_told_with_its_reasons_and_exit_code() {
    let home = home();
    let daemon = daemon(home.path());
    let stages = vec![
        stage(2, StageKind::Train, StageState::Failed, Some("the disk is full")),
        stage(3, StageKind::Evaluate, StageState::Skipped, None),
    ];
    daemon.answers("GET /studies/s", &study(StudyState::Failed, stages));
    daemon.says("GET /changes", 200, String::new());
    let (code, stdout, stderr) = run(home.path(), &["watch", "s"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("study s is failed") && stdout.contains("1 failed, 1 skipped"), "{stdout}");
    assert!(stderr.contains("error: 01x0032_01d00 train failed: the disk is full"), "{stderr}");
    assert!(stderr.ends_with("'lcctl retry s' tries again\n"), "{stderr}");
}

#[test]
fn refused_input_is_not_only_to_be_tried_again() {
    let home = home();
    let daemon = daemon(home.path());
    let group = r#"{"state":"failed","kind":"prepare","cause":"c","suggestion":"s","transient":false,"failed":1,"retried":0,
        "skipped":1,"first":"2026-01-01T00:00:00Z","last":"2026-01-01T00:00:00Z","studies":["s"],"cases":[{"run":null,
        "identifier":null,"stage":1,"checkpoint":null,"attempt":"01890000-0000-7000-8000-000000000000","number":1,
        "message":"m","place":null,"node":null,"slurm_state":null,"exit_code":2,"signal":null,"heard":null,
        "finished":null,"log":[]}]}"#;
    daemon.says("GET /failures", 200, format!("{{\"groups\":[{group}]}}"));
    daemon.says("GET /changes", 200, String::new());
    let told = |train| {
        let prepare = stage(1, StageKind::Prepare, StageState::Failed, Some("no such text"));
        let stages = vec![prepare, stage(2, StageKind::Train, train, None)];
        daemon.answers("GET /studies/s", &study(StudyState::Failed, stages));
        run(home.path(), &["watch", "s"]).2
    };
    let stderr = told(StageState::Skipped);
    let ends = "correct it, then 'lcctl retry s'; for other settings 'lcctl remove s', and sweep again\n";
    assert!(stderr.ends_with(ends), "{stderr}");
    let stderr = told(StageState::Done);
    assert!(stderr.ends_with("then 'lcctl retry s'; other settings need another name\n"), "{stderr}");
}

#[test]
fn a_study_is_removed_by_its_name() {
    let home = home();
    let daemon = daemon(home.path());
    daemon.answers("DELETE /studies/s", &RemovedStudy { name: "s".into(), runs: 2, shared: 1 });
    let (code, stdout, _) = run(home.path(), &["remove", "s", "--dry-run"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "would remove study s with 2 runs; 1 more stays with another study\n")
    );
    let (_, stdout, _) = run(home.path(), &["remove", "s", "--quiet"]);
    assert_eq!(stdout, "s\n");
    let asked: Vec<_> = daemon.asked("DELETE /studies/s").into_iter().map(|asked| asked.line).collect();
    assert_eq!(asked, ["DELETE /studies/s?dry_run=true", "DELETE /studies/s?dry_run=false"]);
}

#[test]
fn the_daemon_of_another_root_is_not_taken_for_ours() {
    let home = home();
    let _other = Played::start(&home.path().join("root"), Path::new("/elsewhere"));
    let (code, _, stderr) = run(home.path(), &["status", "--no-start"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("no daemon runs for"), "{stderr}");
}

#[test]
fn flags_go_over_environment_over_file_over_configuration() {
    let home = home();
    let daemon = daemon(home.path());
    let plan = StudyPlan {
        name: "s".into(),
        created: true,
        runs: vec![PlannedRun {
            identifier: "01x0032_01d00".into(),
            name: "01x0032_01d00".into(),
            hash: "abc".into(),
            new: true,
        }],
        new_stages: 7,
        existing_stages: 0,
        retried_stages: 0,
        notes: vec![],
        arrays: vec![],
    };
    daemon.answers("POST /studies", &plan);
    let config = home.path().join(".config/lcctl");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(
        config.join("config.toml"),
        "[study.model]\nheads = 2\nwindow = 32\n[study.resources]\ndevice = \"cuda\"\n[study.training]\nbatch_size = 2\n",
    )
    .unwrap();
    std::fs::create_dir(home.path().join("studies")).unwrap();
    std::fs::write(home.path().join("studies/texts.txt"), "once").unwrap();
    std::fs::write(
        home.path().join("studies/s.toml"),
        "[data]\ndataset = \"texts.txt\"\ntokenizer = \"builtin\"\n[model]\nheads = 4\n[training]\nbatch_size = 4\n[resources]\ndevice = \"cuda:1\"\n",
    )
    .unwrap();
    let output = Command::from_std(command(home.path()))
        .args(["sweep", "studies/s.toml", "--batch-size", "8", "--width", "32..128", "--dry-run", "--json"])
        .env("LC_DEVICE", "cpu")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(serde_json::from_slice::<StudyPlan>(&output.stdout).unwrap(), plan);

    let asked = daemon.asked("POST /studies");
    assert_eq!(asked[0].line, "POST /studies?dry_run=true");
    let spec: StudySpec = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!(spec.name, "s", "the file's stem");
    assert_eq!((spec.training.batch_size, spec.model.heads, spec.model.window), (8, 4, 32));
    assert_eq!(spec.resources.device, "cpu");
    assert_eq!(spec.grid.width.0, [32, 64, 128]);
    let texts = std::fs::canonicalize(home.path().join("studies/texts.txt")).unwrap();
    assert_eq!(spec.data.dataset, texts.display().to_string());
}

#[test]
fn what_to_call_next_can_be_pasted_into_a_shell() {
    let home = home();
    let root = std::fs::canonicalize(home.path()).unwrap().join("a root");
    let daemon = Played::start(&root, &root);
    let plan = StudyPlan {
        name: "s".into(),
        created: true,
        runs: vec![],
        new_stages: 7,
        existing_stages: 0,
        retried_stages: 0,
        notes: vec![],
        arrays: vec![],
    };
    daemon.answers("POST /studies", &plan);
    let own = std::fs::canonicalize(env!("CARGO_BIN_EXE_lcctl")).unwrap();
    let told = |path: &Path| {
        let mut command = Command::from_std(command(home.path()));
        command.args(["sweep", "--width", "64", "--root", "a root"]).env("PATH", path);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let named = |program: &str| format!("follow it: {program} --root \"{}\" watch s\n", root.display());
    let stderr = told(own.parent().unwrap());
    assert!(stderr.starts_with(&named("lcctl")), "{stderr}");
    let stderr = told(home.path());
    assert!(stderr.starts_with(&named(own.to_str().unwrap())), "{stderr}");
}

#[test]
fn a_refusal_of_the_daemon_is_one_line_and_wrong_use() {
    let home = home();
    let daemon = daemon(home.path());
    let problem = r#"{"type":"invalid-study","status":422,"title":"invalid","detail":"model.heads = 5 does not divide grid.width = 64","hint":"choose a divisor"}"#;
    daemon.says("POST /studies", 422, problem.to_owned());
    let (code, stdout, stderr) = run(home.path(), &["sweep", "--width", "64", "--heads", "5"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert_eq!(stderr, "error: model.heads = 5 does not divide grid.width = 64; choose a divisor\n");
    // A name that is taken is wrong use; what has to be cancelled first is not.
    for (kind, expected) in [("conflict", 2), ("imported", 2), ("kept", 1)] {
        let problem =
            format!(r#"{{"type":"{kind}","status":409,"title":"Conflict","detail":"name: taken"}}"#);
        daemon.says("POST /studies", 409, problem);
        let (code, _, stderr) = run(home.path(), &["sweep", "--width", "64"]);
        assert_eq!((code, stderr.as_str()), (expected, "error: name: taken\n"));
    }
}

#[test]
fn cancelling_one_kind_of_stage_leaves_the_rest_alone() {
    let home = home();
    let daemon = daemon(home.path());
    let stages = vec![
        stage(2, StageKind::Train, StageState::Done, None),
        stage(3, StageKind::Means, StageState::Running, None),
        stage(4, StageKind::Vars, StageState::Waiting, None),
    ];
    daemon.answers("GET /studies/s", &study(StudyState::Active, stages));
    let acted =
        Acted { runs: 1, stages: 2, kinds: vec![(StageKind::Means, 1), (StageKind::Vars, 1)], note: None };
    daemon.answers("POST /studies/s/actions", &acted);
    let (code, stdout, stderr) = run(home.path(), &["cancel", "s", "--stage", "means@0", "--dry-run"]);
    assert_eq!((code, stdout.as_str()), (0, "2 stages would be cancelled: 1 means, 1 vars\n"), "{stderr}");
    let asked = daemon.asked("POST");
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["POST /studies/s/actions?dry_run=true"]);
    let action: Action = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!((action.verb, action.filter.as_str()), (ActionVerb::Cancel, ""));
    assert_eq!(action.kinds, ["means@0".parse().unwrap()]);
    let (_, stdout, _) = run(home.path(), &["retry", "s", "--stage", "means", "--json"]);
    assert_eq!(serde_json::from_str::<Acted>(&stdout).unwrap(), acted);

    let (code, stdout, _) = run(home.path(), &["cancel", "s", "--run", "01x0032_01d00", "--stage", "train"]);
    assert_eq!((code, stdout.as_str()), (0, "nothing to cancel: all of it is over\n"));
}

#[test]
fn what_another_study_needs_is_told_from_what_is_over() {
    let home = home();
    let daemon = daemon(home.path());
    let stages = vec![stage(3, StageKind::Means, StageState::Running, None)];
    daemon.answers("GET /studies/s", &study(StudyState::Active, stages));
    daemon.answers("POST /studies/s/cancel", &Changed { stages: vec![], left: 1 });
    daemon.answers("POST /studies/s/actions", &Acted { runs: 1, stages: 0, kinds: vec![], note: None });
    for args in [vec!["cancel", "s"], vec!["cancel", "s", "--stage", "means"]] {
        let (code, stdout, _) = run(home.path(), &args);
        assert_eq!((code, stdout.as_str()), (0, "nothing to cancel: another study needs what is not over\n"));
    }
    // Part of a study is cancelled as its part.
    let means = stage(3, StageKind::Means, StageState::Cancelled, None);
    daemon.answers("POST /runs/1/cancel", &Changed { stages: vec![means.clone()], left: 2 });
    daemon.answers("POST /stages/3/cancel", &Changed { stages: vec![means], left: 0 });
    let (_, stdout, stderr) = run(home.path(), &["cancel", "s", "--run", "01x0032_01d00"]);
    let head = "1 stage cancelled; 2 go on, because another study needs them\n";
    assert!(stdout.starts_with(head), "{stdout}{stderr}");
    run(home.path(), &["cancel", "s", "--run", "01x0032_01d00", "--stage", "means"]);
    let asked = daemon.asked("POST");
    let lines: Vec<_> = asked[2..].iter().map(|asked| asked.line.as_str()).collect();
    let part = "cancel?dry_run=false&study=s";
    assert_eq!(lines, [format!("POST /runs/1/{part}"), format!("POST /stages/3/{part}")]);
}

#[test]
fn logs_find_what_a_person_most_likely_means() {
    let home = home();
    let daemon = daemon(home.path());
    let stages = vec![
        stage(2, StageKind::Train, StageState::Failed, Some("out of memory")),
        stage(3, StageKind::Means, StageState::Skipped, None),
    ];
    daemon.answers("GET /studies/s", &study(StudyState::Failed, stages));
    let tail = LogTail {
        attempt: Some("00000000-0000-0000-0000-000000000001".parse().unwrap()),
        text: "step 1\nstep 2\n".into(),
        total_bytes: 14,
    };
    daemon.answers("GET /stages/2/log", &tail);
    let (code, stdout, stderr) = run(home.path(), &["logs", "s/01x0032_01d00"]);
    assert_eq!((code, stdout.as_str()), (0, "step 1\nstep 2\n"));
    assert!(stderr.contains("log of 01x0032_01d00 train (failed)"), "{stderr}");
    let (code, stdout, _) = run(home.path(), &["logs", "abcdef", "train", "--study", "s", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<LogTail>(&stdout).unwrap(), tail);
    let (code, _, stderr) = run(home.path(), &["logs", "s/01x0064_01d00"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("no run in study s is called '01x0064_01d00'"), "{stderr}");

    let page = StudyPage { items: vec![study(StudyState::Failed, vec![]).summary], next: None };
    daemon.answers("GET /studies", &page);
    let (code, _, stderr) = run(home.path(), &["logs", "s", "train"]);
    assert_eq!(code, 2);
    assert!(stderr.starts_with("error: s is a study; name one of its runs, as s/RUN; "), "{stderr}");
}

#[test]
fn a_followed_log_goes_on_across_a_restart() {
    let home = home();
    let root = home.path().join("root");
    let asked = |daemon: &Played, state, text: &str| {
        let study = study(StudyState::Active, vec![stage(2, StageKind::Train, state, None)]);
        let spec = StudySpec::named("s");
        let config = RunConfig {
            data: spec.data,
            layers: 1,
            width: 32,
            seed: 0,
            epochs: 1,
            weight_decay: 0.0005,
            decay: 'd',
            model: spec.model,
            training: spec.training,
            checkpoints: Checkpoints::All,
            analysis: spec.analysis,
        };
        let run = RunDetail {
            summary: study.runs[0].clone(),
            studies: vec!["s".into()],
            config,
            outputs: vec![],
            measures: vec![],
            attempts: vec![],
        };
        let tail = LogTail {
            attempt: Some("00000000-0000-0000-0000-000000000001".parse().unwrap()),
            text: text.into(),
            total_bytes: text.len() as u64,
        };
        daemon.answers("GET /studies/s", &study);
        daemon.answers("GET /runs/1", &run);
        daemon.answers("GET /stages/2/log", &tail);
    };
    let first = daemon(home.path());
    asked(&first, StageState::Running, "step 1\n");
    let mut logs = command(home.path())
        .args(["logs", "s/01x0032_01d00", "train", "--follow"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(logs.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "step 1");
    drop(first);
    let mut notes = std::io::BufReader::new(logs.stderr.take().unwrap()).lines();
    assert!(notes.next().unwrap().unwrap().contains("the daemon is away"));
    // It is found once it has all answers.
    let elsewhere = home.path().join("elsewhere");
    let second = Played::start(&elsewhere, &root);
    asked(&second, StageState::Done, "step 1\nstep 2\n");
    std::fs::rename(elsewhere.join("daemon.json"), root.join("daemon.json")).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "step 2");
    assert_eq!(logs.wait().unwrap().code(), Some(0));
}

#[test]
fn a_name_that_two_studies_give_is_refused_with_what_it_may_mean() {
    let home = home();
    let daemon = daemon(home.path());
    let first = study(StudyState::Done, vec![stage(2, StageKind::Train, StageState::Done, None)]);
    let mut second = first.clone();
    second.summary.name = "t".into();
    (second.runs[0].id, second.runs[0].name) = (RunId(2), "t-01x0032_01d00".into());
    let page = StudyPage { items: vec![first.summary.clone(), second.summary.clone()], next: None };
    daemon.answers("GET /studies", &page);
    daemon.answers("GET /studies/s", &first);
    daemon.answers("GET /studies/t", &second);
    for command in ["logs", "show"] {
        let (code, _, stderr) = run(home.path(), &[command, "01x0032_01d00"]);
        let told = "error: '01x0032_01d00' may be s/01x0032_01d00 or t/01x0032_01d00; name one of them\n";
        assert_eq!((code, stderr.as_str()), (2, told));
    }
}

#[test]
fn exports_take_the_format_from_the_file_and_replace_it_whole() {
    let home = home();
    let daemon = daemon(home.path());
    let results = Results {
        columns: vec!["cdnv".into()],
        rows: vec![MeasureRow {
            model: "01x0032_01d00@0".into(),
            values: [("cdnv".into(), Real(0.5))].into(),
        }],
    };
    daemon.answers("GET /studies/s/results", &results);
    daemon.says("GET /studies/s/results.csv", 200, "model,cdnv\n01x0032_01d00@0,0.5\n".into());
    let (code, stdout, _) = run(home.path(), &["export", "s"]);
    assert_eq!((code, stdout.as_str()), (0, "model,cdnv\n01x0032_01d00@0,0.5\n"));
    let (_, stdout, _) = run(home.path(), &["export", "s", "--json"]);
    assert_eq!(serde_json::from_str::<Results>(&stdout).unwrap(), results);
    let (code, stdout, _) = run(home.path(), &["export", "s", "--out", "s.parquet", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("would write s.parquet") && !home.path().join("s.parquet").exists());
    let (code, stdout, _) = run(home.path(), &["export", "s", "--out", "s.parquet", "--quiet"]);
    assert_eq!((code, stdout.as_str()), (0, "s.parquet\n"));
    assert_eq!(&std::fs::read(home.path().join("s.parquet")).unwrap()[..4], b"PAR1");
    for more in [&[][..], &["--dry-run"]] {
        let (code, _, stderr) =
            run(home.path(), &[&["export", "s", "--out", "nowhere/s.csv"], more].concat());
        assert_eq!(code, 2);
        assert_eq!(stderr, "error: --out nowhere/s.csv: no such folder nowhere\n");
    }
    let (code, stdout, _) = run(home.path(), &["export", "s", "--dry-run"]);
    assert_eq!((code, stdout.as_str()), (0, "would write to standard output (1 rows, 31 bytes)\n"));
    let (code, stdout, _) = run(home.path(), &["export", "s", "--dry-run", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &value["dry_run"], &value["rows"]), (0, &true.into(), &1.into()));
}

#[test]
fn a_page_is_not_written_over_results() {
    let home = home();
    for name in ["s.csv", "s"] {
        std::fs::write(home.path().join(name), "mine").unwrap();
        let (code, _, stderr) = run(home.path(), &["report", "s", "--html", name]);
        assert_eq!(code, 2);
        assert!(stderr.contains("expected a name that ends in .html or .htm"), "{stderr}");
        assert_eq!(std::fs::read_to_string(home.path().join(name)).unwrap(), "mine");
    }
}

#[test]
fn a_study_is_shown_as_a_grid_and_a_closed_pipe_is_no_failure() {
    let home = home();
    let daemon = daemon(home.path());
    let detail = study(
        StudyState::Active,
        vec![
            stage(1, StageKind::Prepare, StageState::Done, None),
            stage(2, StageKind::Train, StageState::Running, None),
        ],
    );
    daemon.answers("GET /studies/s", &detail);
    let (code, stdout, _) = run(home.path(), &["status", "s"]);
    assert_eq!(code, 0);
    let row = stdout.lines().find(|line| line.starts_with("01x0032_01d00")).unwrap();
    assert!(row.contains("✓ done") && row.contains("▶ running"), "{stdout}");
    let (_, stdout, _) = run(home.path(), &["status", "s", "--json"]);
    assert_eq!(serde_json::from_str::<StudyDetail>(&stdout).unwrap(), detail);

    let mut child = command(home.path()).args(["show", "s"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
