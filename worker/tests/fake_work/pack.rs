//! Several attempts in one job: asked to stop once each, and what is wrong with one disturbs no other.

use super::{LONG, code, eventually, has, result, stderr, whats, worker, write_attempt};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use protocol::attempt::{NotedExit, Outcome};
use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
};

/// The folders of an array of attempts.
fn array(root: &Path, attempts: u32) -> Vec<PathBuf> {
    let folders: Vec<_> = (0..attempts).map(|task| root.join("array").join(task.to_string())).collect();
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
        write_attempt(folder, |file| file.daemon = root.join("daemon.json"));
    }
    folders
}

/// The processes that a process has started.
fn children(process: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

fn exit(folder: &Path) -> NotedExit {
    serde_json::from_slice(&fs::read(folder.join("exit.json")).unwrap()).unwrap()
}

#[test]
fn an_interrupt_asks_every_attempt_of_a_job_once() {
    // Ctrl-C at a terminal reaches the group in front; a queue may send its signal to all processes of a job.
    let terminal = |job: Pid| killpg(job, Signal::SIGINT).unwrap();
    let queue = |job: Pid| {
        for process in children(job) {
            kill(process, Signal::SIGINT).unwrap();
        }
        kill(job, Signal::SIGINT).unwrap();
    };
    for interrupt in [&terminal as &dyn Fn(Pid), &queue] {
        let root = tempfile::tempdir().unwrap();
        let folders = array(root.path(), 2);
        let mut command = worker(&folders[0], LONG, &["--pack", "2"]);
        // The members look for their daemon for a while, so a second signal would find them.
        let job = command.process_group(0).env("LC_RESULT_WAIT", "2").spawn().unwrap();
        eventually("the start", || whats(root.path()) == ["started", "started"]);
        interrupt(Pid::from_raw(job.id().try_into().unwrap()));
        let output = job.wait_with_output().unwrap();
        assert_eq!(code(&output), Some(75), "{}", stderr(&output));
        assert_eq!(whats(root.path())[2..], ["interrupted", "interrupted"]);
        for folder in &folders {
            assert!(matches!(result(folder).outcome, Outcome::Interrupted { .. }));
            assert!(!has(folder, "exit.json"));
        }
    }
}

#[test]
fn what_is_wrong_with_one_attempt_of_a_job_disturbs_no_other() {
    let root = tempfile::tempdir().unwrap();
    let folders = array(root.path(), 4);
    let [without_log, without_note, taken_out, sound] = &folders[..] else { panic!("four") };
    fs::create_dir(without_log.join("worker.log")).unwrap();
    fs::create_dir(without_note.join("exit.json")).unwrap();
    fs::remove_file(taken_out.join("attempt.json")).unwrap();
    let output = worker(&folders[0], "0", &["--pack", "4"]).output().unwrap();
    let text = stderr(&output);
    assert_eq!(code(&output), Some(0), "{text}");
    assert!(matches!(result(sound).outcome, Outcome::Succeeded { .. }));
    assert_eq!(whats(root.path()), ["started", "finished"]);
    for path in [without_log.join("worker.log"), without_note.join("exit.json")] {
        assert!(text.contains(&format!("error: {}: ", path.display())), "{text}");
    }
    assert_eq!(exit(without_log), NotedExit { code: Some(1), ..NotedExit::default() });
    assert_eq!(exit(taken_out), NotedExit::default());

    // Where none could be started, the job has failed.
    let output = worker(&folders[0], "0", &["--pack", "2"]).output().unwrap();
    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
}

#[test]
fn the_end_of_a_process_without_a_result_is_noted() {
    let root = tempfile::tempdir().unwrap();
    let folders = array(root.path(), 2);
    let fail = ["--pack", "2", "--fake-fail", "prepare=kill"];
    let start = [("SLURM_JOB_ID", "44"), ("SLURM_ARRAY_JOB_ID", "42"), ("SLURM_RESTART_COUNT", "1")];
    let output = worker(&folders[0], "0", &fail).envs(start).output().unwrap();
    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
    for folder in &folders {
        let killed = NotedExit { signal: Some(9), job: Some(42), restarts: 1, ..NotedExit::default() };
        assert_eq!(exit(folder), killed);
    }
}
