//! The process behind `lcctl serve`: one per root, from its lock to its orderly stop.

use crate::{
    config::{executor::Served, place::at_home, profile::Profile},
    domain::layout::Layout,
    engine::{Engine, EngineError},
    executor::{
        Executor,
        local::{Local, WorkerNotFound, find_worker},
        slurm::Slurm,
    },
    files::write_private,
    http::{App, AppState, LoginCodes, Reports, router},
    schedule, secret,
    store::{
        Store, StoreError,
        lease::{Holder, Taken},
    },
    table::Table,
};
use chrono::Utc;
use nix::fcntl::{Flock, FlockArg};
use protocol::{attempt::DaemonFile, exit};
use std::{
    env,
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
use uuid::Uuid;

/// Where a daemon listens if nothing else is asked for.
pub const DEFAULT_PORT: u16 = 8642;

/// Between two renewals of the lease on the root.
const RENEW_EVERY: Duration = Duration::from_secs(15);

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
    /// A cluster's queue in place of this machine.
    pub cluster: Option<Profile>,
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
    /// A daemon on another machine has the root.
    #[error("{}: a daemon on {host} serves this root until {until} at least; stop it there first, or choose another LC_ROOT", root.display())]
    ServedElsewhere {
        /// The root.
        root: PathBuf,
        /// The other daemon's machine.
        host: String,
        /// When its lease ends, if it is not renewed.
        until: String,
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
    /// The cluster's profile can't be used.
    #[error("{0}")]
    Profile(String),
    /// There is no worker program.
    #[error(transparent)]
    Worker(#[from] WorkerNotFound),
    /// The record can't be used.
    #[error("{}{}", .0, remedy(.0))]
    Record(#[from] StoreError),
    /// The record can't be used by the engine.
    #[error("{}{}", .0, remedy_of_engine(.0))]
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
            Self::AlreadyServed { .. }
            | Self::ServedElsewhere { .. }
            | Self::PortInUse { .. }
            | Self::Listen { .. }
            | Self::Profile(_)
            | Self::Worker(_) => exit::USAGE,
            Self::Record(StoreError::Newer { .. }) => exit::USAGE,
            _ => exit::FAILURE,
        }
    }

    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

/// What to do about a record that may be damaged.
pub(crate) fn remedy(error: &StoreError) -> String {
    /// SQLite's codes for a damaged file, and for one that is no database.
    const DAMAGED: [u32; 2] = [11, 26];
    let damaged = |error: &sqlx::Error| {
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
        code.is_some_and(|code| DAMAGED.contains(&(code & 0xff)))
    };
    let backups = match error {
        StoreError::Unusable { file, .. } => file.with_file_name("backups").display().to_string(),
        StoreError::Sql(error) if damaged(error) => "LC_ROOT/backups".to_owned(),
        _ => return String::new(),
    };
    format!("; if it is damaged, put back the newest copy in {backups} (docs/resuming.md)")
}

fn remedy_of_engine(error: &EngineError) -> String {
    match error {
        EngineError::Store(error) => remedy(error),
        _ => String::new(),
    }
}

/// The worker program: the one given by a flag, the environment or the user's configuration, else the profile's,
/// else one that is found.
///
/// # Errors
/// When there is none, or what was named is not a program.
pub(crate) fn worker(given: Option<PathBuf>, cluster: Option<&Profile>) -> Result<PathBuf, ServeError> {
    if given.is_none()
        && let Some(profile) = cluster
        && let Some(path) = &profile.worker
    {
        return find_worker(Some(path)).map_err(|_| {
            ServeError::Profile(format!("{}: worker = {path:?} is not a program", profile.name))
        });
    }
    // What the variable names is looked for as such, so that an error names it.
    let variable = env::var_os("LC_WORKER").map(PathBuf::from);
    let given = given.map(|path| at_home(&path)).filter(|path| Some(path) != variable.as_ref());
    Ok(find_worker(given.as_deref())?)
}

/// Remembers in the root where its stages run. One that only looks at a cluster, for a dry run perhaps, does not make
/// the root the cluster's: then the engine remembers it with the first change.
async fn remember(engine: &Engine, store: &Store) -> Result<(), ServeError> {
    if !engine.capabilities().queue || store.open_stages().await? > 0 {
        engine.remember()?;
    }
    Ok(())
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
    let worker = worker(options.worker, options.cluster.as_ref())?;
    let listener = bind(options.listen).await?;
    let listen = listener.local_addr().map_err(ServeError::Ended)?;
    let token = api_token(&layout)?;
    let store = Store::open(&layout).await?;
    let lease = take_lease(&store, &layout).await?;
    let served = Served::with(options.cluster.as_ref());
    let (shutdown, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
    let executor = executor(options.cluster, worker, root, options.slots, &wake)?;
    let engine = Arc::new(Engine::new(store.clone(), executor, layout.clone(), wake).serving(served));
    remember(&engine, &store).await?;
    engine.distrust_tables().await?;
    let table = Arc::new(Table::new(store.clone()));
    let app = App::new(AppState {
        store: store.clone(),
        table: Arc::clone(&table),
        engine: Arc::clone(&engine),
        token_sha256: secret::hash(&token),
        listen,
        started: Utc::now(),
        codes: LoginCodes::default(),
        reports: Reports::default(),
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
    tokio::spawn(async move {
        if let Err(error) = table.warm_up().await {
            tracing::warn!(%error, "the table of runs could not be read; the next page tries again");
        }
    });
    let renewal = tokio::spawn(renew_lease(store.clone(), lease.clone(), shutdown.clone()));
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
    for (name, task) in [("reconciler", reconciler), ("schedule", clock), ("lease", renewal)] {
        if let Err(error) = task.await {
            tracing::error!(%error, "the {name} ended badly");
        }
    }
    end_lease(&store, &lease).await?;
    store.close().await;
    remove(&path)?;
    tracing::info!("stopped; workers that run go on");
    ended.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(ServeError::Ended)
}

/// Takes the root for this machine.
async fn take_lease(store: &Store, layout: &Layout) -> Result<Holder, ServeError> {
    let holder = Holder { id: Uuid::new_v4(), host: host_name() };
    let mut tx = store.begin(Utc::now()).await?;
    if let Some(Taken { holder, until }) = tx.take_lease(&holder).await? {
        let until = until.with_timezone(&chrono::Local).format("%H:%M:%S").to_string();
        return Err(ServeError::ServedElsewhere { root: layout.root().to_owned(), host: holder.host, until });
    }
    tx.commit().await?;
    Ok(holder)
}

/// Renews the lease until `stop`; a daemon that lost it stops.
async fn renew_lease(store: Store, holder: Holder, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RENEW_EVERY) => {}
        }
        match store.renew_lease(&holder).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!("a daemon on another machine took this root over; stopping");
                return stop.cancel();
            }
            Err(error) => tracing::error!(%error, "failed to renew the lease on the root"),
        }
    }
}

async fn end_lease(store: &Store, holder: &Holder) -> Result<(), ServeError> {
    let mut tx = store.begin(Utc::now()).await?;
    tx.end_lease(holder).await?;
    Ok(tx.commit().await?)
}

/// Reconciles a root once, without serving it: looks at the queue until all that was seen is settled, acts, and
/// answers how many stages are not over.
///
/// # Errors
/// When a daemon serves the root, or the record can't be used.
pub async fn tick(options: ServeOptions) -> Result<u64, ServeError> {
    fs::create_dir_all(&options.root).map_err(ServeError::file(&options.root))?;
    let root = options.root.canonicalize().map_err(ServeError::file(&options.root))?;
    let layout = Layout::new(&root);
    let _lock = lock(&layout)?;
    let worker = worker(options.worker, options.cluster.as_ref())?;
    let store = Store::open(&layout).await?;
    let lease = take_lease(&store, &layout).await?;
    let served = Served::with(options.cluster.as_ref());
    let wake = Arc::new(Notify::new());
    let executor = executor(options.cluster, worker, root, options.slots, &wake)?;
    let engine = Engine::new(store.clone(), executor, layout, wake).serving(served);
    remember(&engine, &store).await?;
    engine.distrust_tables().await?;
    engine.settle_down().await?;
    let open = store.open_stages().await?;
    end_lease(&store, &lease).await?;
    store.close().await;
    Ok(open)
}

/// Processes of this machine, or a cluster's queue.
pub(crate) fn executor(
    cluster: Option<Profile>,
    worker: PathBuf,
    root: PathBuf,
    slots: Option<u32>,
    wake: &Arc<Notify>,
) -> Result<Arc<dyn Executor>, ServeError> {
    Ok(match cluster {
        Some(profile) => Arc::new(Slurm::new(profile, worker, root).map_err(ServeError::Profile)?),
        None => Arc::new(Local::new(worker, root, slots, Arc::clone(wake))),
    })
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

/// The name of this machine.
pub(crate) fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".into(), |name| name.to_string_lossy().into_owned())
}

/// Where others reach a daemon that listens here.
pub(crate) fn address(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        // Who listens everywhere is reached by its name, also from a cluster's nodes.
        format!("http://{}:{}", host_name(), listen.port())
    } else {
        format!("http://{listen}")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_by_name() {
        let of = |listen: &str| address(listen.parse().unwrap());
        assert_eq!(of("127.0.0.1:8642"), "http://127.0.0.1:8642");
        assert_eq!(of("0.0.0.0:8642"), format!("http://{}:8642", host_name()));
        assert_eq!(of("[::]:8642"), of("0.0.0.0:8642"));
    }
}
