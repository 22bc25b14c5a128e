//! What a stage tells reaches the daemon once and in order, whatever happens to the daemon.

mod daemon;
mod waiting;

use daemon::{Daemon, Fault};
use nix::fcntl::{Flock, FlockArg};
use protocol::{
    attempt::{Event, EventBody, MetricPoint, Outcome, ResultReport},
    real::Real,
};
use std::{path::Path, thread, time::Duration};
use waiting::{PATIENT, eventually};
use worker::report::{
    Report,
    attempt::{Attempt, Claim},
    reporter::Reporter,
    sender::Delivery,
};

fn point(step: u64) -> MetricPoint {
    MetricPoint {
        step,
        epoch: step as f64 / 100.0,
        loss: Real(if step == 7 { f64::INFINITY } else { 1.0 / step as f64 }),
        learning_rate: 5e-5,
        grad_norm: Real(0.1),
        tokens_per_s: 1e4,
    }
}

/// Opens, claims and starts to report.
fn start(folder: &Path) -> (Attempt, Reporter, Report) {
    let attempt = Attempt::open(&daemon::attempt(folder), PATIENT).unwrap().expect("no result yet");
    let report = Report::listening();
    let accepted_through = match attempt.claim(&report, Duration::ZERO).unwrap() {
        Claim::Granted { accepted_through } => accepted_through,
        Claim::Unanswered => 0,
    };
    let reporter = Reporter::of_attempt(report.clone(), &attempt, accepted_through).unwrap();
    (attempt, reporter, report)
}

fn failed() -> Outcome {
    Outcome::Failed { message: "the work failed".into(), permanent: false }
}

fn spooled(folder: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn steps<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<u64> {
    let points = |event: &'a Event| match &event.body {
        EventBody::Metrics { points } => points.as_slice(),
        _ => &[],
    };
    events.into_iter().flat_map(points).map(|point| point.step).collect()
}

fn has_result(folder: &Path) -> bool {
    folder.join("result.json").exists()
}

#[test]
fn events_arrive_once_and_in_order_although_answers_fail_or_get_lost() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    let (attempt, reporter, report) = start(folder.path());
    daemon.with(|record| {
        record.faults = [Fault::Error, Fault::LostAnswer, Fault::Error, Fault::LostAnswer].into();
    });
    for step in 1..=2_500 {
        report.metric(point(step));
        report.progress(step, 2_500, "steps");
        if step % 1_000 == 0 {
            report.checkpoint(None, step);
            let sent = daemon.with(|record| record.batches.len());
            eventually("a further batch", || daemon.with(|record| record.batches.len()) > sent);
        }
    }
    report.info("done");
    assert_eq!(reporter.finish(&attempt, failed(), PATIENT).unwrap(), Delivery::Delivered);

    let spooled = spooled(folder.path());
    assert_eq!(steps(&spooled), (1..=2_500).collect::<Vec<_>>());
    assert!(spooled.iter().map(|event| event.seq).eq(1..=spooled.len() as u64));
    assert!(matches!(&spooled.last().unwrap().body, EventBody::Progress(last) if last.done == 2_500));
    daemon.with(|record| {
        assert!(record.events.values().eq(&spooled), "the daemon and the spool hold the same");
        assert!(record.batches.iter().all(|batch| batch.is_sorted() && batch.len() <= 1_000));
        assert_eq!(record.faults.len(), 0);
        assert_eq!(record.results.len(), 1);
        assert_eq!(record.results[0].claim, record.claims[0].claim);
        assert!(record.wrong.is_empty(), "{:?}", record.wrong);
    });
}

#[test]
fn a_daemon_that_comes_late_under_another_address_gets_everything() {
    let folder = tempfile::tempdir().unwrap();
    // Port 9 of a daemon that is gone.
    daemon::announce(folder.path(), "http://127.0.0.1:9");
    let (attempt, reporter, report) = start(folder.path());
    report.metric(point(1));
    eventually("the spool", || !spooled(folder.path()).is_empty());
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    eventually("an event", || daemon.with(|record| !record.events.is_empty()));
    report.metric(point(2));
    assert_eq!(reporter.finish(&attempt, failed(), PATIENT).unwrap(), Delivery::Delivered);
    daemon.with(|record| assert_eq!(steps(record.events.values()), [1, 2]));
}

#[test]
fn without_a_daemon_the_files_hold_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (attempt, reporter, report) = start(folder.path());
    report.metric(point(7));
    report.warn("look at this");
    let delivery = reporter.finish(&attempt, failed(), Duration::from_millis(50)).unwrap();
    assert_eq!(delivery, Delivery::LeftInFiles);
    assert!(!report.stop_requested());
    let events = spooled(folder.path());
    assert_eq!(steps(&events), [7]);
    let warned = EventBody::Log { level: "warn".into(), message: "look at this".into() };
    assert!(events.iter().any(|event| event.body == warned));
    let result: ResultReport =
        serde_json::from_slice(&std::fs::read(folder.path().join("result.json")).unwrap()).unwrap();
    assert_eq!(result.outcome, failed());
}

#[test]
fn a_worker_that_lost_its_attempt_stops_and_leaves_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    let (attempt, reporter, report) = start(folder.path());
    daemon.with(|record| record.refusing = vec!["events"]);
    report.metric(point(1));
    eventually("a request to stop", || report.stop_requested());
    assert_eq!(report.fenced(), Some("another worker holds this attempt now"));
    let delivery = reporter.finish(&attempt, failed(), PATIENT).unwrap();
    assert!(matches!(delivery, Delivery::Refused(_)));
    assert!(!has_result(folder.path()));
    daemon.with(|record| assert!(record.results.is_empty()));
}

#[test]
fn a_stranger_at_the_daemons_address_neither_refuses_a_worker_nor_fences_it() {
    for (status, answer) in [
        (401, daemon::problem(401, "the token is not valid here")),
        (403, daemon::problem(403, "this token is another attempt's")),
        (421, daemon::problem(421, "this host is not this daemon")),
        (409, "conflict".to_owned()),
        (410, daemon::problem(404, "of something else")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start();
        daemon.announce(folder.path());
        daemon.with(|record| record.stranger = Some((status, answer)));
        let (attempt, reporter, report) = start(folder.path());
        let calls = daemon.with(|record| record.calls);
        report.metric(point(1));
        eventually("events on their way", || daemon.with(|record| record.calls) > calls);
        let delivery = reporter.finish(&attempt, failed(), Duration::from_millis(50)).unwrap();
        assert_eq!((delivery, report.fenced()), (Delivery::LeftInFiles, None), "{status}");
        assert!(has_result(folder.path()));
    }
}

#[test]
fn a_result_that_the_daemon_refuses_is_withdrawn() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    daemon.with(|record| record.refusing = vec!["result"]);
    let (attempt, reporter, _report) = start(folder.path());
    let delivery = reporter.finish(&attempt, failed(), PATIENT).unwrap();
    assert_eq!(delivery, Delivery::Refused("another worker holds this attempt now".into()));
    assert!(!has_result(folder.path()));
}

#[test]
fn a_daemon_can_ask_a_worker_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    daemon.with(|record| record.stop = true);
    let (attempt, reporter, report) = start(folder.path());
    eventually("a request to stop", || report.stop_requested());
    assert_eq!(report.fenced(), None);
    let stopped = Outcome::Interrupted { message: "stopped at step 3".into() };
    assert_eq!(reporter.finish(&attempt, stopped.clone(), PATIENT).unwrap(), Delivery::Delivered);
    daemon.with(|record| assert_eq!(record.results[0].outcome, stopped));
}

#[test]
fn the_next_worker_of_an_attempt_goes_on_counting_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    let (attempt, reporter, report) = start(folder.path());
    report.metric(point(1));
    eventually("the first point", || daemon.with(|record| steps(record.events.values()) == [1]));
    let first = spooled(folder.path()).len() as u64;
    drop((reporter, attempt));
    let known = daemon.with(|record| {
        record.batches.clear();
        *record.events.keys().next_back().unwrap()
    });

    let (attempt, reporter, report) = start(folder.path());
    report.metric(point(2));
    assert_eq!(reporter.finish(&attempt, failed(), PATIENT).unwrap(), Delivery::Delivered);
    daemon.with(|record| {
        assert!(known >= first);
        assert!(record.batches.iter().flatten().all(|&seq| seq > known), "{:?}", record.batches);
        assert_eq!(steps(record.events.values()), [1, 2]);
        assert_ne!(record.claims[0].claim, record.claims[1].claim);
        assert!(record.wrong.is_empty(), "{:?}", record.wrong);
    });
}

#[test]
fn events_that_a_crashed_node_lost_do_not_hide_those_of_the_next_worker() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    let (attempt, reporter, report) = start(folder.path());
    for step in 1..=3 {
        report.metric(point(step));
    }
    eventually("the points", || daemon.with(|record| steps(record.events.values()) == [1, 2, 3]));
    drop((reporter, attempt));
    // The daemon has them, the disk had only the first.
    let spool = folder.path().join("events.jsonl");
    let first = std::fs::read_to_string(&spool).unwrap().lines().next().unwrap().to_owned();
    std::fs::write(&spool, first + "\n").unwrap();

    let (attempt, reporter, report) = start(folder.path());
    report.metric(point(4));
    assert_eq!(reporter.finish(&attempt, failed(), PATIENT).unwrap(), Delivery::Delivered);
    daemon.with(|record| {
        assert_eq!(steps(record.events.values()), [1, 2, 3, 4]);
        assert!(record.wrong.is_empty(), "{:?}", record.wrong);
    });
    let spooled = spooled(folder.path());
    assert!(spooled.is_sorted_by(|one, next| one.seq < next.seq), "{spooled:?}");
}

#[test]
fn an_attempt_is_held_by_one_worker_and_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = daemon::attempt(folder.path());
    let (attempt, reporter, _report) = start(folder.path());
    let error = Attempt::open(&path, Duration::ZERO).err().expect("the lock is held");
    assert!(error.to_string().starts_with("another worker holds this attempt"), "{error}");
    assert_eq!(error.exit_code(), protocol::exit::FAILURE);
    reporter.finish(&attempt, failed(), Duration::ZERO).unwrap();
    drop(attempt);
    assert!(Attempt::open(&path, Duration::ZERO).unwrap().is_none());
}

#[test]
fn a_passing_look_at_the_lock_turns_no_worker_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = daemon::attempt(folder.path());
    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    let look = Flock::lock(lock, FlockArg::LockSharedNonblock).unwrap();
    let looking = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(look);
    });
    assert!(Attempt::open(&path, PATIENT).unwrap().is_some());
    looking.join().unwrap();
}

#[test]
fn a_daemon_that_read_the_result_already_needs_no_more_events() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    let (attempt, reporter, report) = start(folder.path());
    report.metric(point(1));
    eventually("the spool", || !spooled(folder.path()).is_empty());
    daemon.with(|record| record.refusing = vec!["events"]);
    // Found only when the result is there.
    let finished = thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the result", || has_result(folder.path()));
            daemon.announce(folder.path());
        });
        reporter.finish(&attempt, failed(), PATIENT).unwrap()
    });
    assert_eq!(finished, Delivery::Delivered);
    assert!(has_result(folder.path()));
}

#[test]
fn events_that_are_on_their_way_when_the_daemon_reads_the_result_are_no_reason_to_give_up() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    let (attempt, reporter, report) = start(folder.path());
    eventually("the first event", || daemon.with(|record| !record.events.is_empty()));
    // The next call is answered after the daemon has read the result from its file.
    let before = daemon.with(|record| {
        record.awaited = Some(folder.path().join("result.json"));
        record.refusing = vec!["events"];
        record.calls
    });
    report.metric(point(1));
    eventually("a call under way", || daemon.with(|record| record.calls) > before);
    let finished = reporter.finish(&attempt, failed(), PATIENT).unwrap();
    assert_eq!(finished, Delivery::Delivered);
    assert_eq!(report.fenced(), None);
    assert!(has_result(folder.path()));
    assert_eq!(steps(&spooled(folder.path())), [1]);
}

#[test]
fn an_attempt_file_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attempt.json");
    let incomplete = format!(r#"{{"api_version": {}}}"#, protocol::API_VERSION);
    for (content, expected) in [
        (r#"{"api_version": 999, "new": "field"}"#, "version 999"),
        (r#"{"attempt": 1}"#, "api_version is missing"),
        (incomplete.as_str(), "missing field"),
        ("{", "not the expected JSON"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = Attempt::open(&path, Duration::ZERO).err().expect("not an attempt file");
        assert_eq!(error.exit_code(), protocol::exit::USAGE);
        let line = error.to_string();
        assert!(line.contains(expected) && line.contains("attempt.json"), "{line}");
    }
}
