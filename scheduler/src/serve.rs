//! `mayfly serve`: the platform, from a data directory to a listening socket, and down again.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use crate::api::{self, Platform};
use crate::core::Limits;
use crate::function::UrlForm;
use crate::launcher::{ImageBuilder, Launcher};
use crate::logs::Logs;
use crate::poller::Pollers;
use crate::queue::retry::Delays;
use crate::queue::{self, Engine, Postgres, PostgresError, Queue, QueueError, Sqlite};
use crate::schedules::Schedules;
use crate::service::{Identity, Parts, Service};
use crate::sources::Sources;
use crate::sqs::Queues;
use crate::store::id;
use crate::store::{CodeStore, Database, FunctionStore, LayerStore, StoreError};

/// How long work may go on after a shutdown has been asked for.
const GRACE: Duration = Duration::from_secs(5);
/// How long the host may take to destroy environments before they are left to it.
const DESTRUCTION_MAX: Duration = Duration::from_secs(10);

/// Most connections that wait to be accepted: a crowd comes at once, and the host has its own limit besides
/// (net.core.somaxconn).
const BACKLOG: u32 = 1024;

/// What the platform is made of.
pub struct Config {
    /// Where it listens. Loopback only: signatures are not checked.
    pub listen: SocketAddr,
    /// Where it keeps everything.
    pub data: PathBuf,
    /// The PostgreSQL that keeps queues, and not a file in `data`.
    pub queue: Option<queue::Server>,
    /// Memory for environments, and their patience.
    pub limits: Limits,
    /// Region and account in ARNs.
    pub identity: Identity,
    /// What clients are told of function URLs.
    pub url_form: UrlForm,
    /// When events are tried again.
    pub delays: Delays,
    /// Who makes environments.
    pub launcher: Arc<dyn Launcher>,
    /// Who makes their images.
    pub images: Arc<dyn ImageBuilder>,
}

/// Why there is no platform.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Anybody who can reach it may run code.
    #[error("without authentication, only a loopback address may be listened on, not {0}")]
    NotLoopback(SocketAddr),
    /// Two would overwrite each other's work.
    #[error(
        "another platform uses {0}: give this one a data directory of its own, or stop that one"
    )]
    InUse(PathBuf),
    /// Somebody listens there already.
    #[error(
        "{0} is in use, perhaps by another `mayfly serve`: stop that one, or give this one another address \
         with --listen (port 0 is any free one)"
    )]
    AddressInUse(SocketAddr),
    /// What is stored can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is queued can't be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The queues' server can't be used.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The host refuses something.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
}

/// A platform that listens, but does not answer yet.
pub struct Server {
    listener: TcpListener,
    platform: Arc<Platform>,
    polling: JoinHandle<()>,
    ticking: JoinHandle<()>,
    /// Keeps others out of the data directory.
    _lock: File,
}

/// Serves until `stop` is ready, then lets work end for a few seconds.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    config: Config,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    Server::bind(config).await?.run(stop).await
}

impl Server {
    /// Opens the data directory and the socket. Where the address is taken, nothing has been made or changed.
    ///
    /// # Errors
    /// [`ServeError`]: a damaged database is refused with advice.
    pub async fn bind(config: Config) -> Result<Server, ServeError> {
        if !config.listen.ip().is_loopback() {
            return Err(ServeError::NotLoopback(config.listen));
        }
        let socket = reserve(config.listen)?;
        let data = &config.data;
        let at = |what: &Path| {
            let what = what.display().to_string();
            move |error| ServeError::Io(what, error)
        };
        std::fs::create_dir_all(data).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => at(data)(io::ErrorKind::NotADirectory.into()),
            _ => at(data)(error),
        })?;
        let lock = lock(data)?;
        let database = Arc::new(Database::open(data)?);
        let functions = Arc::new(FunctionStore::load(Arc::clone(&database))?);
        let layers = LayerStore::load(database)?;
        let code = Arc::new(CodeStore::open(data)?);
        let used: BTreeSet<String> = functions.code().into_iter().chain(layers.code()).collect();
        // Before anything can be uploaded: nothing is lost to a race.
        code.retain(|sha256| used.contains(sha256)).map_err(at(data))?;
        let logs = Arc::new(Logs::open(data).map_err(at(data))?);
        let queue = Queue::start(engine(data, config.queue).await?).map_err(at(data))?;
        let listener = socket.listen(BACKLOG).map_err(unusable(config.listen))?;
        let address = listener.local_addr().map_err(unusable(config.listen))?;
        let service = Service::start(Parts {
            identity: config.identity,
            limits: config.limits,
            code: Arc::clone(&code),
            logs: Arc::clone(&logs),
            launcher: config.launcher,
            images: config.images,
        });
        for entry in functions.list(None, usize::MAX) {
            service.reserve(entry.latest.id, || entry.settings.reserved_concurrency);
        }
        let queue = Arc::new(queue);
        let queues = Arc::new(Queues::load(Arc::clone(&queue)).await?);
        tokio::spawn(Arc::clone(&queues).sweep());
        let pollers = Pollers::new(
            queue,
            Arc::clone(&queues),
            Arc::clone(&functions),
            Arc::clone(&service),
            Arc::clone(&logs),
            config.delays,
        );
        let polling = pollers.start().await?;
        let sources = Sources::start(
            Arc::clone(&queues),
            Arc::clone(&functions),
            Arc::clone(&service),
            Arc::clone(&logs),
            config.delays,
        )
        .await?;
        let schedules = Schedules::load(
            service.identity.clone(),
            Arc::clone(&functions),
            Arc::clone(&queues),
            config.delays,
        );
        let schedules = schedules.await?;
        let ticking = schedules.start();
        let told = api::Told::default();
        let platform = Platform {
            functions,
            layers,
            code,
            logs,
            service,
            pollers,
            queues,
            sources,
            schedules,
            told,
            address,
            url_form: config.url_form,
        };
        let platform = Arc::new(platform);
        let within = Arc::downgrade(&platform);
        platform.service.open_platform(Box::new(move |stream| {
            let platform = within.upgrade();
            Box::pin(async move {
                if let Some(platform) = platform {
                    api::serve_stream(stream, platform).await;
                }
            })
        }));
        for entry in platform.functions.list(None, usize::MAX) {
            let latest = &entry.latest;
            api::provision(&platform, &latest.configuration.name, latest.id);
        }
        Ok(Server { listener, platform, polling, ticking, _lock: lock })
    }

    /// Where it listens; a port of 0 has become a real one.
    pub fn address(&self) -> SocketAddr {
        self.platform.address
    }

    /// Serves until `stop` is ready, then lets work end for a few seconds.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn run(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let (service, logs) = (Arc::clone(&self.platform.service), Arc::clone(&self.platform.logs));
        let (pollers, polling) = (Arc::clone(&self.platform.pollers), self.polling);
        let sources = Arc::clone(&self.platform.sources);
        let (down, is_down) = tokio::sync::oneshot::channel::<()>();
        let stopping = async move {
            stop.await;
            // A run is a transaction: it has happened, or the next platform does it.
            self.ticking.abort();
            pollers.stop();
            let batches = sources.stop();
            // New invocations are refused at once; those at work get their answer over open connections.
            let stopped = async {
                service.shutdown(GRACE).await;
                // What events have come to is kept; what is not is done again.
                let _ = polling.await;
                let _ = batches.await;
            };
            let _ = tokio::time::timeout(GRACE + DESTRUCTION_MAX, stopped).await;
            let _ = down.send(());
        };
        let serving = axum::serve(self.listener, api::router(self.platform))
            .with_graceful_shutdown(async {
                let _ = is_down.await;
            })
            .into_future();
        let stopping = tokio::spawn(stopping);
        let result = tokio::select! {
            result = serving => result,
            // Idle clients that keep their connection are not waited for.
            () = async {
                let _ = stopping.await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            } => Ok(()),
        };
        logs.flush();
        result.map_err(|error| ServeError::Io("the API's socket".into(), error))
    }
}

/// Takes the address. Clients are refused until the platform can answer them.
fn reserve(listen: SocketAddr) -> Result<TcpSocket, ServeError> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(unusable(listen))?;
    // What the platform before has left in TIME-WAIT is no reason to wait.
    socket.set_reuseaddr(true).map_err(unusable(listen))?;
    socket.bind(listen).map_err(unusable(listen))?;
    Ok(socket)
}

/// What is wrong with an address.
fn unusable(listen: SocketAddr) -> impl Fn(io::Error) -> ServeError {
    move |error| match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse(listen),
        _ => ServeError::Io(listen.to_string(), error),
    }
}

/// What queues are made on: the only platform's on that server, or a file.
async fn engine(data: &Path, server: Option<queue::Server>) -> Result<Box<dyn Engine>, ServeError> {
    let Some(server) = server else { return Ok(Box::new(Sqlite::open(data)?)) };
    let id = id::of(data)?;
    let connecting = tokio::task::spawn_blocking(move || Postgres::connect_alone(server, id)).await;
    let failed = |error: tokio::task::JoinError| ServeError::Io("PostgreSQL".into(), error.into());
    Ok(Box::new(connecting.map_err(failed)??))
}

/// Takes the data directory for this process alone; its end, however it comes, gives it back (flock(2)).
fn lock(data: &Path) -> Result<File, ServeError> {
    let path = data.join("lock");
    let failed = |error| ServeError::Io(path.display().to_string(), error);
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServeError::InUse(data.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
