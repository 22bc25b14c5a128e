//! Whether there is a worker program, and whether it can use the GPUs that jobs ask for.

use std::{path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

/// How long a worker may take to tell its version; one on a shared file system takes seconds to load.
const LIMIT: Duration = Duration::from_secs(20);

/// The line that `lc-worker --version` prints, if it does.
pub(super) async fn version(worker: &Path) -> Option<String> {
    let mut command = Command::new(worker);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Whether a version says that the worker was built without CUDA: `lc-worker 0.1.0 (cpu)`. One without
/// parentheses says nothing about it.
pub(super) fn lacks_cuda(version: &str) -> bool {
    let own = version.strip_prefix("lc-worker ");
    let devices = own.and_then(|own| own.split_once('(')).and_then(|(_, rest)| rest.split_once(')'));
    devices.is_some_and(|(devices, _)| devices.split(',').all(|device| device.trim() != "cuda"))
}

#[cfg(test)]
mod tests {
    use super::lacks_cuda;

    #[test]
    fn only_a_version_that_names_other_devices_lacks_cuda() {
        assert!(lacks_cuda("lc-worker 0.1.0 (cpu)"));
        assert!(lacks_cuda("lc-worker 0.1.0 (cpu, vulkan)"));
        assert!(!lacks_cuda("lc-worker 0.1.0 (cpu, cuda)"));
        assert!(!lacks_cuda("lc-worker 0.1.0 (cuda)"));
        assert!(!lacks_cuda("lc-worker 0.1.0"));
        assert!(!lacks_cuda("another (with parentheses)"));
    }
}
