//! The process behind `lcctl serve`: one per root, from its lock to its orderly stop.

use crate::{
    domain::layout::Layout,
    engine::{Engine, EngineError},
    executor::{
        folder::write_private,
        local::{Local, WorkerNotFound, find_worker},
    },
    http::{App, AppState, LoginCodes, router},
    schedule, secret,
    store::{Store, StoreError},
};
use chrono::Utc;
use nix::fcntl::{Flock, FlockArg};
use protocol::{attempt::DaemonFile, exit};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

/// Where a daemon listens if nothing else is asked for.
pub const DEFAULT_PORT: u16 = 8642;

/// How long open requests may take to end when the daemon stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// `LC_ROOT`; made if it does not exist.
    pub root: PathBuf,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Workers at once; one per GPU, or one, if missing.
    pub slots: Option<u32>,
    /// The worker program; looked for if missing.
    pub worker: Option<PathBuf>,
}

/// Why a daemon does not run. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another daemon has the root.
    #[error("{}: another daemon{} serves this root; stop it first, or choose another LC_ROOT", root.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    AlreadyServed {
        /// The root.
        root: PathBuf,
        /// The other daemon's process.
        pid: Option<u32>,
    },
    /// The address is taken.
    #[error("port {} is in use on {}; choose another with --listen {}:PORT, or 0 for any free one", listen.port(), listen.ip(), listen.ip())]
    PortInUse {
        /// The address.
        listen: SocketAddr,
    },
    /// The address can't be listened on.
    #[error("--listen {listen}: {source}; use an address of this machine, for example 127.0.0.1:8642")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no worker program.
    #[error(transparent)]
    Worker(#[from] WorkerNotFound),
    /// The record can't be used.
    #[error(transparent)]
    Record(#[from] StoreError),
    /// The record can't be used by the engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Serving ended.
    #[error("serving ended: {0}")]
    Ended(io::Error),
}

impl ServeError {
    /// The exit code that tells this to a shell.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::AlreadyServed { .. } | Self::PortInUse { .. } | Self::Listen { .. } | Self::Worker(_) => {
                exit::USAGE
            }
            Self::Record(StoreError::Newer { .. }) => exit::USAGE,
            _ => exit::FAILURE,
        }
    }

    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

/// Serves a root until SIGTERM, SIGINT or `POST /api/v1/shutdown`. Workers go on running afterwards,
/// and the next daemon takes them over. `ready` is called once requests are answered.
///
/// # Errors
/// When the daemon can't start, or ended for another reason than being asked to.
pub async fn serve(options: ServeOptions, ready: impl FnOnce(&DaemonFile)) -> Result<(), ServeError> {
    fs::create_dir_all(&options.root).map_err(ServeError::file(&options.root))?;
    let root = options.root.canonicalize().map_err(ServeError::file(&options.root))?;
    let layout = Layout::new(&root);
    let _lock = lock(&layout)?;
    let worker = find_worker(options.worker.as_deref())?;
    let listener = bind(options.listen).await?;
    let listen = listener.local_addr().map_err(ServeError::Ended)?;
    let token = api_token(&layout)?;
    let store = Store::open(&layout).await?;
    let (shutdown, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
    let executor = Arc::new(Local::new(worker, root, options.slots, Arc::clone(&wake)));
    let engine = Arc::new(Engine::new(store.clone(), executor, layout.clone(), wake));
    engine.distrust_tables().await?;
    let app = App::new(AppState {
        store: store.clone(),
        engine: Arc::clone(&engine),
        token_sha256: hex::encode(Sha256::digest(token.as_bytes())),
        listen,
        started: Utc::now(),
        codes: LoginCodes::default(),
        shutdown: shutdown.clone(),
    });

    let path = layout.daemon_file();
    let file = daemon_file(listen);
    let text = serde_json::to_vec_pretty(&file).map_err(|error| ServeError::file(&path)(error.into()))?;
    write_private(&path, &text).map_err(ServeError::file(&path))?;
    watch_signals(shutdown.clone())?;
    let reconciler = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { engine.run(shutdown).await }
    });
    let clock = tokio::spawn(schedule::run(store.clone(), layout.clone(), shutdown.clone()));
    tracing::info!(url = file.url, root = %layout.root().display(), "serving");
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
    for (name, task) in [("reconciler", reconciler), ("schedule", clock)] {
        if let Err(error) = task.await {
            tracing::error!(%error, "the {name} ended badly");
        }
    }
    store.close().await;
    remove(&path)?;
    tracing::info!("stopped; workers that run go on");
    ended.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(ServeError::Ended)
}

/// Takes the root for this process, until it ends in whatever way.
fn lock(layout: &Layout) -> Result<Flock<File>, ServeError> {
    let path = layout.daemon_lock();
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = match Flock::lock(file.map_err(ServeError::file(&path))?, FlockArg::LockExclusiveNonblock)
    {
        Ok(locked) => locked,
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(ServeError::AlreadyServed { root: layout.root().to_owned(), pid });
        }
        Err((_, error)) => return Err(ServeError::file(&path)(error.into())),
    };
    let noted =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    noted.map_err(ServeError::file(&path))?;
    Ok(file)
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(listen).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { listen },
        _ => ServeError::Listen { listen, source },
    })
}

/// The API token; made at the first start.
fn api_token(layout: &Layout) -> Result<String, ServeError> {
    let path = layout.token();
    match fs::read_to_string(&path) {
        Ok(token) if token.trim().len() >= 32 => return Ok(token.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(ServeError::file(&path)(error)),
    }
    let token = secret::fresh().map_err(|error| ServeError::file(&path)(io::Error::other(error)))?;
    write_private(&path, format!("{token}\n").as_bytes()).map_err(ServeError::file(&path))?;
    Ok(token)
}

fn daemon_file(listen: SocketAddr) -> DaemonFile {
    // Who listens everywhere is reached here at loopback.
    let mut address = listen;
    if listen.ip().is_unspecified() {
        address.set_ip(match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let host = nix::unistd::gethostname()
        .map_or_else(|_| "localhost".into(), |name| name.to_string_lossy().into_owned());
    DaemonFile {
        url: format!("http://{address}"),
        pid: std::process::id(),
        host,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
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
