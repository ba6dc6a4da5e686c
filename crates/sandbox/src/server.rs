//! One running server: its thread, its runtime, its routes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use socketioxide::SocketIo;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::app::links::{CutListener, LinkId};
use crate::app::{App, Options};
use crate::demo_tokens::DemoTokens;
use crate::realtime::{deliver, disconnect, namespace};
use crate::routes::{access, guard, metrics};
use crate::store::journal::Journal;
use crate::suspended::Suspended;
use crate::{control, demo, routes};

/// The Node server's default for the size of an incoming message.
const MAX_PAYLOAD: u64 = 1_000_000;
/// Events that may wait for a client that does not read.
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
    /// Where the data are kept.
    pub(crate) folder: Option<PathBuf>,
    /// The data of a server that has ended; without them a new one starts empty.
    pub(crate) resumed: Option<Suspended>,
}

/// A server that listens until it is told to stop.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Handle,
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
    /// Ends the current freeze when dropped.
    frozen: Mutex<Option<mpsc::Sender<()>>>,
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
                Ok((runtime, listener, address)) => {
                    let handle = runtime.handle().clone();
                    // Dropping the runtime ends every connection and frees the port.
                    runtime.block_on(serve(&config, inner, listener, stopped, || {
                        let _ = ready.send(Ok((handle, address)));
                    }));
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        let started =
            started.recv().unwrap_or_else(|_| Err(io::Error::other("the server's thread has ended")));
        let (runtime, address) = started?;
        Ok(Server {
            app,
            address,
            runtime,
            running: Mutex::new(Some((stop, thread))),
            frozen: Mutex::default(),
        })
    }

    /// Nothing is answered for this long: the server's only thread stands still. Returns when it does.
    pub(crate) fn freeze(&self, time: Duration) {
        let (thaw, thawed) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        *self.frozen.lock().unwrap_or_else(PoisonError::into_inner) = Some(thaw);
        self.runtime.spawn(async move {
            let _ = begun.send(());
            let _ = thawed.recv_timeout(time);
        });
        // An error means that there is no server any more.
        let _ = begins.recv();
    }

    pub(crate) fn thaw(&self) {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Returns when the port is free. Doing it twice does nothing.
    pub(crate) fn stop(&self) {
        self.thaw();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            let _ = stop.send(());
            let _ = thread.join();
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

/// Cuts links and ends sessions as often as was asked for.
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

fn prepare(config: &Config) -> io::Result<(tokio::runtime::Runtime, TcpListener, SocketAddr)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = runtime.block_on(TcpListener::bind((config.host, config.port)))?;
    let address = listener.local_addr()?;
    Ok((runtime, listener, address))
}

async fn serve(
    config: &Config,
    app: App,
    listener: TcpListener,
    stopped: oneshot::Receiver<()>,
    ready: impl FnOnce(),
) {
    let (sockets, io) = SocketIo::builder()
        .ping_interval(config.ping_interval)
        .ping_timeout(config.ping_timeout)
        .max_payload(MAX_PAYLOAD)
        .max_buffer_size(MAX_WAITING)
        .build_layer();
    // The namespace first: asking a server without one for its sockets is a panic.
    namespace::serve(&io, &app);
    app.set_io(Some(io));
    tokio::spawn(deliver::run(app.clone(), app.outbox().open()));
    tokio::spawn(repeat_faults(app.clone()));
    let router = routes::routes()
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(from_fn_with_state(app.clone(), metrics::measure))
        // What controls the sandbox is neither recorded nor subject to faults.
        .merge(control::routes(&app))
        .layer(sockets)
        .layer(from_fn_with_state(app.clone(), disconnect::guard))
        .layer(from_fn_with_state(app.clone(), access::check))
        .with_state(app.clone());
    let listener = CutListener { listener, links: app.links().clone() };
    let service = router.into_make_service_with_connect_info::<LinkId>();
    let server = tokio::spawn(axum::serve(listener, service).into_future());
    ready();
    // An error means that the handle is gone: the same as being told to stop.
    let _ = stopped.await;
    server.abort();
    disconnect::cut_all(&app);
    app.set_io(None);
    app.outbox().close();
    // A moment for the connections' tasks to see their end and to clean up behind them.
    tokio::time::sleep(CLEAN_UP).await;
}
