//! Finding the daemon of a root, and starting one where none runs.

use super::{cluster::ClusterFlags, context::Context, failure::Failure, launch};
use crate::{client::Client, domain::layout::Layout};
use protocol::{attempt::DaemonFile, view::Health};
use std::{path::Path, time::Duration};

/// A daemon on this machine answers its health at once; more means that it is gone or stuck.
const HEALTH_LIMIT: Duration = Duration::from_secs(3);

/// The daemon that runs for `root`, if one does.
///
/// A `daemon.json` left behind by a crash may name a port that another program, or the daemon of
/// another root, has taken since: only an answer about this very root counts.
pub(super) async fn running(root: &Path) -> Option<Client> {
    Some(healthy(root).await?.0)
}

/// As [`running`], with what it says about itself.
pub(super) async fn healthy(root: &Path) -> Option<(Client, Health)> {
    let layout = Layout::new(root);
    let file: DaemonFile = serde_json::from_slice(&std::fs::read(layout.daemon_file()).ok()?).ok()?;
    let token = std::fs::read_to_string(layout.token()).ok()?;
    let client = Client::new(&file.url, token.trim());
    let health = tokio::time::timeout(HEALTH_LIMIT, client.health()).await.ok()?.ok()?;
    same(Path::new(&health.root), root).then_some((client, health))
}

/// The daemon of the context's root, started if need be.
///
/// # Errors
/// When none runs and none may be or can be started, or one runs stages elsewhere than is asked for.
pub(super) async fn daemon(context: &Context) -> Result<Client, Failure> {
    let cluster = ClusterFlags::of_environment()?;
    match healthy(&context.root).await {
        Some((client, health)) => match cluster.unlike(context, &health) {
            Some(line) => Err(Failure::Usage(line)),
            None => Ok(client),
        },
        None if context.may_start => {
            // What the daemon would refuse is told without its log around it.
            cluster.profile(context)?;
            launch::start(context).await
        }
        None => Err(Failure::Failed(format!(
            "no daemon runs for {}; start one with 'lcctl serve', or leave out --no-start",
            context.root.display()
        ))),
    }
}

/// What is said while the daemon of the context's root is away.
pub(super) fn away(context: &Context) -> String {
    format!("the daemon is away; waiting for it ('{}' starts it)", context.command("serve"))
}

fn same(one: &Path, other: &Path) -> bool {
    let canonical = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    canonical(one) == canonical(other)
}
