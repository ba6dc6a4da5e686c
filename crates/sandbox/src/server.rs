//! A running server: its threads, runtimes and routes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::middleware::from_fn_with_state;
use socketioxide::SocketIo;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

use crate::acceptor::{self, Acceptor, CutListener};
use crate::app::links::LinkId;
use crate::app::{App, Options};
use crate::demo_tokens::DemoTokens;
use crate::realtime::{deliver, disconnect, namespace};
use crate::reserved_port::ReservedPort;
use crate::routes::{access, guard, metrics};
use crate::store::journal::Journal;
use crate::suspended::Suspended;
use crate::{control, demo, ids, routes};

/// The size limit of an incoming message, which is the Node server's default.
const MAX_PAYLOAD: u64 = 1_000_000;
/// How many events may wait for a client that does not read.
const MAX_WAITING: usize = 65_536;
const CLEAN_UP: Duration = Duration::from_millis(2);

#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    pub(crate) options: Options,
    pub(crate) demo: bool,
    /// The folder for the data. `None` keeps the data in memory.
    pub(crate) folder: Option<PathBuf>,
    /// The data of an ended server. `None` starts with no data.
    pub(crate) resumed: Option<Suspended>,
}

/// A server that listens until it is stopped.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Handle,
    /// Keeps the port from other sandboxes. `None` for a port that the program or the operating system has chosen.
    pub(crate) reserved: Option<ReservedPort>,
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Server {
    pub(crate) fn start(config: Config) -> io::Result<Server> {
        let (journal, data) = match &config.folder {
            None => (None, config.resumed.as_ref().map(Suspended::data).unwrap_or_default()),
            Some(folder) => {
                let (journal, data) = Journal::open(folder, config.options.max_messages)?;
                (Some(journal), Arc::new(Mutex::new(data)))
            }
        };
        let demo = config.demo.then(|| DemoTokens::load(config.folder.as_deref())).transpose()?;
        let app = App::new(config.options.clone(), data, journal, demo);
        app.data().agencies.lobby_mut();
        demo::restore(&app).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.message))?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let inner = app.clone();
        let thread = thread::Builder::new().name("crustocean-sandbox".to_owned()).spawn(move || {
            match prepare(&config) {
                Ok(Prepared { runtime, listener, address, reserved }) => {
                    let handle = runtime.handle().clone();
                    inner.set_runtime(handle.clone());
                    // Dropping the runtime ends every connection.
                    let served = runtime.block_on(serve(&config, inner, listener, stopped, || {
                        let _ = ready.send(Ok((handle, address, reserved)));
                    }));
                    if let Err(error) = served {
                        drop(ready.send(Err(error)));
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        let started =
            started.recv().unwrap_or_else(|_| Err(io::Error::other("the server's thread has ended")));
        let (runtime, address, reserved) = started?;
        Ok(Server { app, address, runtime, reserved, running: Mutex::new(Some((stop, thread))) })
    }

    /// Blocks the server's only thread for this time. Returns when the freeze has begun.
    pub(crate) fn freeze(&self, time: Duration) {
        // An error means that the server has ended.
        let _ = self.app.freeze().begin(self.app.runtime(), time, Duration::ZERO).recv();
    }

    pub(crate) fn thaw(&self) {
        self.app.freeze().end();
    }

    /// Stops the server. Returns when the port is free. A second call does nothing.
    pub(crate) fn stop(&self) {
        self.thaw();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            let _ = stop.send(());
            let _ = thread.join();
            self.app.close_journal();
        }
    }

    /// Blocks until the server ends.
    pub(crate) fn wait(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((_stop, thread)) = running {
            let _ = thread.join();
        }
    }
}

/// Closes connections and expires sessions at the configured intervals.
async fn repeat_faults(app: App) {
    loop {
        let (drop_links, expire_sessions) = app.faults().due().await;
        if drop_links {
            disconnect::cut_all(&app);
        }
        if expire_sessions {
            app.data().tokens.expire_sessions();
        }
    }
}

fn new_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

/// The ports for sandboxes without a configured port. Operating systems use other ports for outgoing connections: Linux
/// from 32,768, most others from 49,152. So no connection takes the port of a suspended sandbox.
const PORTS: Range<u16> = 20_000..27_000;

/// How many ports of [`PORTS`] the sandbox tries.
const MAX_TRIES: usize = 50;

/// Listens on a free port, which no other sandbox gets before the reservation is dropped.
async fn listen_somewhere(host: IpAddr) -> io::Result<(TcpListener, Option<ReservedPort>)> {
    for _ in 0..MAX_TRIES {
        let random = PORTS.start + u16::from_be_bytes(ids::random()) % (PORTS.end - PORTS.start);
        let Ok(reserved) = ReservedPort::new(random) else { continue };
        if let Ok(listener) = TcpListener::bind((host, random)).await {
            return Ok((listener, Some(reserved)));
        }
    }
    Ok((TcpListener::bind((host, 0)).await?, None))
}

/// The parts from which a server starts.
struct Prepared {
    runtime: Runtime,
    listener: std::net::TcpListener,
    address: SocketAddr,
    reserved: Option<ReservedPort>,
}

fn prepare(config: &Config) -> io::Result<Prepared> {
    let runtime = new_runtime()?;
    let (listener, reserved) = match config.port {
        0 => runtime.block_on(listen_somewhere(config.host))?,
        port => {
            let resumed = config.resumed.as_ref().filter(|resumed| resumed.port() == port);
            let listener = runtime.block_on(TcpListener::bind((config.host, port)))?;
            (listener, resumed.and_then(Suspended::reserved))
        }
    };
    let listener = listener.into_std()?;
    let address = listener.local_addr()?;
    Ok(Prepared { runtime, listener, address, reserved })
}

/// Accepts all connections and serves the control connections, until `stopped`.
fn serve_control(
    acceptor: Acceptor,
    listener: CutListener,
    router: IntoMakeServiceWithConnectInfo<Router, LinkId>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = new_runtime()?;
    let name = "crustocean-sandbox-control".to_owned();
    thread::Builder::new().name(name).spawn(move || {
        // Dropping the runtime frees the port.
        runtime.block_on(async {
            tokio::spawn(axum::serve(listener, router).into_future());
            tokio::spawn(acceptor.run());
            let _ = stopped.await;
        });
    })
}

async fn serve(
    config: &Config,
    app: App,
    listener: std::net::TcpListener,
    stopped: oneshot::Receiver<()>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let (sockets, io) = SocketIo::builder()
        .ping_interval(config.ping_interval)
        .ping_timeout(config.ping_timeout)
        .max_payload(MAX_PAYLOAD)
        .max_buffer_size(MAX_WAITING)
        .build_layer();
    // Register the namespace first, because a request for the sockets of a server without a namespace panics.
    namespace::serve(&io, &app);
    app.set_io(Some(io));
    tokio::spawn(deliver::run(app.clone(), app.outbox().open()));
    tokio::spawn(repeat_faults(app.clone()));
    let router = routes::routes()
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(from_fn_with_state(app.clone(), metrics::measure))
        // The sandbox does not record control requests, and faults do not affect them.
        .merge(control::routes(&app))
        .layer(sockets)
        .layer(from_fn_with_state(app.clone(), disconnect::guard))
        .layer(from_fn_with_state(app.clone(), access::check))
        .with_state(app.clone());
    let service = router.into_make_service_with_connect_info::<LinkId>();
    let (acceptor, for_control, for_others) = acceptor::open(listener, app.links())?;
    let (stop_control, control_stopped) = oneshot::channel();
    let control = serve_control(acceptor, for_control, service.clone(), control_stopped)?;
    let server = tokio::spawn(axum::serve(for_others, service).into_future());
    ready();
    // An error means that the handle was dropped, which also stops the server.
    let _ = stopped.await;
    let _ = stop_control.send(());
    let _ = control.join();
    server.abort();
    disconnect::cut_all(&app);
    app.set_io(None);
    app.outbox().close();
    // Gives the tasks of the connections time to end and clean up.
    tokio::time::sleep(CLEAN_UP).await;
    Ok(())
}
