//! A root in the hands of this process: its lock, its lease, its record and the engine over it.

use super::ServeError;
use crate::{
    address::host_name,
    config::{executor::Served, place::at_home, profile::Profile},
    domain::layout::Layout,
    engine::Engine,
    executor::{
        Executor,
        local::{Local, find_worker},
        slurm::Slurm,
    },
    files::write_private,
    secret,
    store::{
        Store,
        lease::{Holder, Taken},
    },
};
use chrono::Utc;
use nix::fcntl::{Flock, FlockArg};
use std::{
    env,
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two renewals of the lease on the root.
const RENEW_EVERY: Duration = Duration::from_secs(15);

/// What a root is opened with.
#[derive(Clone, Debug)]
pub struct RootOptions {
    /// `LC_ROOT`; made if it does not exist.
    pub path: PathBuf,
    /// Workers at once; one per GPU, or one, if missing.
    pub slots: Option<u32>,
    /// The worker program; looked for if missing.
    pub worker: Option<PathBuf>,
    /// A cluster's queue in place of this machine.
    pub cluster: Option<Profile>,
}

/// A root that no other process of this machine has. Its record is not opened yet.
pub(super) struct LockedRoot {
    layout: Layout,
    worker: PathBuf,
    slots: Option<u32>,
    cluster: Option<Profile>,
    lock: Flock<File>,
}

/// A root that no other process has, until [`Root::close`].
pub(super) struct Root {
    pub layout: Layout,
    pub store: Store,
    pub engine: Arc<Engine>,
    lease: Holder,
    /// Held until all of this is dropped.
    _lock: Flock<File>,
}

impl LockedRoot {
    /// Takes a root for this process.
    ///
    /// # Errors
    /// When another process has it, or there is no worker program.
    pub(super) fn take(options: RootOptions) -> Result<Self, ServeError> {
        fs::create_dir_all(&options.path).map_err(ServeError::file(&options.path))?;
        let layout = Layout::new(options.path.canonicalize().map_err(ServeError::file(&options.path))?);
        let lock = lock(&layout)?;
        let worker = worker(options.worker, options.cluster.as_ref())?;
        Ok(Self { layout, worker, slots: options.slots, cluster: options.cluster, lock })
    }

    /// The API token; made at the first start.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub(super) fn api_token(&self) -> Result<String, ServeError> {
        let path = self.layout.token();
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

    /// Takes the root for this machine, and opens its record with an engine over it.
    ///
    /// # Errors
    /// When a daemon of another machine has it, or the record or the profile can't be used.
    pub(super) async fn open(self) -> Result<Root, ServeError> {
        let lease = Holder { id: Uuid::new_v4(), host: host_name() };
        // Opening it may migrate it, which whoever has it would not survive.
        self.refuse(Store::taken(&self.layout, &lease, Utc::now()).await?)?;
        let store = Store::open(&self.layout).await?;
        let mut tx = store.begin(Utc::now).await?;
        self.refuse(tx.take_lease(&lease).await?)?;
        tx.commit().await?;
        let served = Served::with(self.cluster.as_ref());
        let wake = Arc::new(Notify::new());
        let root = self.layout.root().to_owned();
        let executor = executor(self.cluster, self.worker, root, self.slots, &wake)?;
        let engine = Engine::new(store.clone(), executor, self.layout.clone(), wake).serving(served);
        remember(&engine, &store).await?;
        engine.distrust_tables().await?;
        Ok(Root { layout: self.layout, store, engine: Arc::new(engine), lease, _lock: self.lock })
    }

    /// Refuses a root that a daemon of another machine has.
    fn refuse(&self, taken: Option<Taken>) -> Result<(), ServeError> {
        let Some(Taken { holder, until }) = taken else { return Ok(()) };
        let until = until.with_timezone(&chrono::Local).format("%H:%M:%S").to_string();
        Err(ServeError::ServedElsewhere { root: self.layout.root().to_owned(), host: holder.host, until })
    }
}

impl Root {
    /// Renews the lease until `stop`, in a task of its own.
    pub(super) fn keep_lease(&self, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(renew_lease(self.store.clone(), self.lease.clone(), stop))
    }

    /// Gives the lease back and closes the record. No other process of this machine may have the root before this is
    /// dropped.
    ///
    /// # Errors
    /// When the record can't be used.
    pub(super) async fn close(&self) -> Result<(), ServeError> {
        let mut tx = self.store.begin(Utc::now).await?;
        tx.end_lease(&self.lease).await?;
        tx.commit().await?;
        self.store.close().await;
        Ok(())
    }
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

/// Processes of this machine, or a cluster's queue.
fn executor(
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

/// Remembers in the root where its stages run. One that only looks at a cluster, for a dry run perhaps, does not make
/// the root the cluster's: then the engine remembers it with the first change.
async fn remember(engine: &Engine, store: &Store) -> Result<(), ServeError> {
    if !engine.capabilities().queue || store.open_stages().await? > 0 {
        engine.remember()?;
    }
    Ok(())
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
