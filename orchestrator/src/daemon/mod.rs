//! The process behind `lcctl serve`: one per root, from its lock to its orderly stop.
//!
//! [`error`]: why it does not run; [`root`]: a root in the hands of one process, also for a single look.

mod error;
mod root;

pub use error::ServeError;
pub(crate) use error::remedy;
pub use root::RootOptions;
pub(crate) use root::worker;

use crate::{
    address::{address, host_name},
    files::write_private,
    http::{App, AppState, LoginCodes, Reports, router},
    schedule, secret,
    table::Table,
};
use chrono::Utc;
use protocol::attempt::DaemonFile;
use root::LockedRoot;
use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Where a daemon listens if nothing else is asked for.
pub const DEFAULT_PORT: u16 = 8642;

/// How long open requests may take to end when the daemon stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The root, and what runs its stages.
    pub root: RootOptions,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
}

/// Serves a root until SIGTERM, SIGINT or `POST /api/v1/shutdown`. Workers go on running afterwards,
/// and the next daemon takes them over. `ready` is called once requests are answered.
///
/// # Errors
/// When the daemon can't start, or ended for another reason than being asked to.
pub async fn serve(options: ServeOptions, ready: impl FnOnce(&DaemonFile)) -> Result<(), ServeError> {
    let root = LockedRoot::take(options.root)?;
    // Before the record is opened: where the port is in use, nothing changed.
    let listener = bind(options.listen).await?;
    let listen = listener.local_addr().map_err(ServeError::Ended)?;
    let token = root.api_token()?;
    let root = root.open().await?;
    let shutdown = CancellationToken::new();
    let table = Arc::new(Table::new(root.store.clone()));
    let app = App::new(AppState {
        store: root.store.clone(),
        table: Arc::clone(&table),
        engine: Arc::clone(&root.engine),
        token_sha256: secret::hash(&token),
        listen,
        started: Utc::now(),
        codes: LoginCodes::default(),
        reports: Reports::default(),
        shutdown: shutdown.clone(),
    });

    let path = root.layout.daemon_file();
    let file = daemon_file(listen);
    let text = serde_json::to_vec_pretty(&file).map_err(|error| ServeError::file(&path)(error.into()))?;
    write_private(&path, &text).map_err(ServeError::file(&path))?;
    watch_signals(shutdown.clone())?;
    let reconciler = tokio::spawn({
        let (engine, shutdown) = (Arc::clone(&root.engine), shutdown.clone());
        async move { engine.run(shutdown).await }
    });
    tokio::spawn(async move {
        if let Err(error) = table.warm_up().await {
            tracing::warn!(%error, "the table of runs could not be read; the next page tries again");
        }
    });
    let renewal = root.keep_lease(shutdown.clone());
    let clock = tokio::spawn(schedule::run(root.store.clone(), root.layout.clone(), shutdown.clone()));
    tracing::info!(url = file.url, root = %root.layout.root().display(), "serving");
    let stopping = shutdown.clone();
    let server =
        axum::serve(listener, router(app)).with_graceful_shutdown(async move { stopping.cancelled().await });
    ready(&file);
    let mut server = tokio::spawn(async move { server.await });
    let ended = tokio::select! {
        ended = &mut server => ended,
        () = async { shutdown.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => Ok(Ok(())),
    };
    shutdown.cancel();
    // The reconciler ends between two rounds: whatever it began is recorded.
    for (name, task) in [("reconciler", reconciler), ("schedule", clock), ("lease", renewal)] {
        if let Err(error) = task.await {
            tracing::error!(%error, "the {name} ended badly");
        }
    }
    root.close().await?;
    remove(&path)?;
    tracing::info!("stopped; workers that run go on");
    ended.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(ServeError::Ended)
}

/// Reconciles a root once, without serving it: looks at the queue until all that was seen is settled, acts, and
/// answers how many stages are not over.
///
/// # Errors
/// When a daemon serves the root, or the record can't be used.
pub async fn tick(options: RootOptions) -> Result<u64, ServeError> {
    let root = LockedRoot::take(options)?.open().await?;
    root.engine.settle_down().await?;
    let open = root.store.open_stages().await?;
    root.close().await?;
    Ok(open)
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(listen).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { listen },
        _ => ServeError::Listen { listen, source },
    })
}

fn daemon_file(listen: SocketAddr) -> DaemonFile {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    DaemonFile { url: address(listen), pid: std::process::id(), host: host_name(), version }
}

fn watch_signals(shutdown: CancellationToken) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Ended)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Ended)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = shutdown.cancelled() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}

fn remove(path: &Path) -> Result<(), ServeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ServeError::file(path)(error)),
        _ => Ok(()),
    }
}
