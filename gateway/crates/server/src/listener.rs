//! The listening socket and the workers behind it: one thread and one runtime per core, each with its own
//! connections to callers and to upstreams.

mod guarded;
mod multiplexed;
mod version;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use towpath_upstream::Pool;

use crate::config::{Limits, Listen};
use crate::errors::{Code, Refusal, Shape};
use crate::listener::guarded::Guarded;
use crate::listener::multiplexed::{Activity, Here, Taken, Verdict};
use crate::listener::version::Version;
use crate::log::{self, Level};
use crate::outgoing::Outgoing;
use crate::pipeline::{self, Asks};
use crate::role::{Ending, Role, ending};
use crate::shared::{Shared, Worker};
use crate::{clock, frontdoor, grpc, health, ids, intake, kserve};

/// Room beyond the head's own limit, so that a head that is too large still gets our answer and only a
/// flood gets the bare one of the HTTP library.
const HEAD_SLACK: usize = 96 << 10;
/// Headers that the HTTP library reads without allocating; more get its bare 431.
const HEADERS_IN_PLACE: usize = 100;
/// Connections waiting in the kernel: a burst of clients that reconnect at once.
const BACKLOG: i32 = 4_096;
/// Pause where the process is out of descriptors or connections, instead of spinning.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a connection without a call is kept open after the signal to stop: what its caller sent before it
/// could know arrives meanwhile, and is answered.
const LINGER: Duration = Duration::from_millis(250);
/// The longest that a gateway goes on after another one has taken over, should a caller find a way to keep a
/// call open beyond its own bounds.
const HAND_OVER: Duration = Duration::from_secs(3_600);
/// Connections on their way to one worker: more than a worker takes up in a turn of its loop.
const HANDOVER: usize = 256;

/// Open or take over the listening socket.
///
/// # Errors
/// The address is taken or may not be used, or the inherited descriptor is no listening socket.
pub fn open(listen: &Listen) -> io::Result<StdListener> {
    let listener = match listen {
        Listen::Address(address) => {
            let domain = socket2::Domain::for_address(*address);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&(*address).into())?;
            socket.listen(BACKLOG)?;
            StdListener::from(socket)
        }
        Listen::Inherited(fd) => inherited(*fd)?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[expect(unsafe_code, reason = "a descriptor's number can be turned into an owner in no other way")]
fn inherited(fd: i32) -> io::Result<StdListener> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: the parent process handed this descriptor to this process for this purpose, as the
    // command line says; it is taken once, before anything else is opened, and owned from here on.
    let socket = socket2::Socket::from(unsafe { OwnedFd::from_raw_fd(fd) });
    if !socket.is_listener()? {
        return Err(io::Error::other(format!("file descriptor {fd} is no listening socket")));
    }
    Ok(StdListener::from(socket))
}

/// Worker threads of the process.
pub fn worker_count(limits: &Limits) -> usize {
    match usize::try_from(limits.workers).unwrap_or(0) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

/// One worker's end of the handover: accepted connections come in, the count of open ones goes out.
#[derive(Clone)]
pub struct Seat {
    hand: mpsc::Sender<(StdStream, SocketAddr)>,
    open: Arc<AtomicUsize>,
}

/// The other end.
pub struct Desk {
    taken: mpsc::Receiver<(StdStream, SocketAddr)>,
    open: Arc<AtomicUsize>,
}

/// A worker's two ends.
pub fn seat() -> (Seat, Desk) {
    let (hand, taken) = mpsc::channel(HANDOVER);
    let open = Arc::new(AtomicUsize::new(0));
    (Seat { hand, open: Arc::clone(&open) }, Desk { taken, open })
}

/// Accept connections and give each to the worker with the fewest, until the process ends. A thread of
/// its own: kept connections must be spread evenly, which racing workers do not do.
///
/// What waits in the kernel's queue at the signal to stop is still accepted: its callers were not refused. When
/// another gateway takes over, it is that one's.
///
/// # Errors
/// The runtime cannot be made, or the listener cannot be watched.
pub fn accept(
    shared: &Shared,
    listener: StdListener,
    seats: &[Seat],
    mut stop: watch::Receiver<Ending>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut role = shared.role.subscribe();
    let most = usize::try_from(shared.limits.max_connections).unwrap_or(usize::MAX);
    runtime.block_on(async {
        // Past the runtime, which may not have heard yet of what waits.
        let queue = listener.try_clone()?;
        let listener = TcpListener::from_std(listener)?;
        tokio::select! {
            _ = role.wait_for(|role| *role != Role::Standby) => {}
            () = ending(&mut stop, Ending::HandOver) => return Ok(()),
        }
        loop {
            let accepted = tokio::select! {
                biased;
                () = ending(&mut stop, Ending::HandOver) => {
                    if *stop.borrow() == Ending::HandOver {
                        return Ok(());
                    }
                    match queue.accept() {
                        Ok(accepted) => Ok(accepted),
                        Err(_) => return Ok(()),
                    }
                }
                accepted = listener.accept() => accepted.and_then(|(s, peer)| Ok((s.into_std()?, peer))),
            };
            let ready = |(stream, peer): (StdStream, SocketAddr)| {
                stream.set_nonblocking(true)?;
                Ok((stream, peer))
            };
            let connection = match accepted.and_then(ready) {
                Ok(connection) => connection,
                Err(error) => {
                    if shared.throttle.lets_through(clock::now_ms()) {
                        log::event(Level::Error, "connection.refused", &[("cause", &error)]);
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let open = |seat: &Seat| seat.open.load(Ordering::Relaxed);
            // Further ones wait in the kernel's queue.
            while seats.iter().map(open).sum::<usize>() >= most {
                if *stop.borrow() != Ending::Not {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
            if let Some(seat) = seats.iter().min_by_key(|seat| open(seat)) {
                seat.open.fetch_add(1, Ordering::Relaxed);
                // Fails only when the worker has ended, and the process with it.
                let _ = seat.hand.send(connection).await;
            }
        }
    })
}

/// Run one worker until the process ends, then until its connections are done; within `drain_ms` where the
/// platform stops.
///
/// # Errors
/// The runtime cannot be made.
pub fn work(
    shared: Arc<Shared>,
    desk: Desk,
    mut stop: watch::Receiver<Ending>,
    pool: impl FnOnce() -> Pool,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let drain = Duration::from_millis(shared.limits.drain_ms);
        let worker = Rc::new(Worker::new(shared, pool(), stop.clone()));
        sweep(&worker, stop.clone());
        let closed = Rc::new(Notify::new());
        let open = Arc::clone(&desk.open);
        serve(&worker, desk, &closed, stop.clone()).await;
        let drained = async {
            while open.load(Ordering::Relaxed) > 0 {
                closed.notified().await;
            }
        };
        let bound = async {
            ending(&mut stop, Ending::Stop).await;
            tokio::time::sleep(drain).await;
        };
        // What is still running then is cut with the runtime.
        tokio::select! {
            () = drained => {}
            () = bound => {}
            () = tokio::time::sleep(HAND_OVER) => {}
        }
        Ok(())
    })
}

fn sweep(worker: &Rc<Worker>, mut stop: watch::Receiver<Ending>) {
    let worker = Rc::clone(worker);
    spawn_local(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = tick.tick() => worker.pool.sweep(),
                () = ending(&mut stop, Ending::Stop) => return,
            }
        }
    });
}

async fn serve(
    worker: &Rc<Worker>,
    mut desk: Desk,
    closed: &Rc<Notify>,
    stop: watch::Receiver<Ending>,
) {
    let builders = Builders::new(&worker.shared.limits);
    // Ends when nothing is accepted any more, and all that was has been taken up.
    while let Some((stream, peer)) = desk.taken.recv().await {
        let open = Open { count: Arc::clone(&desk.open), closed: Rc::clone(closed) };
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        let (worker, builders, stop) = (Rc::clone(worker), builders.clone(), stop.clone());
        spawn_local(async move {
            worker.shared.metrics.connections.fetch_add(1, Ordering::Relaxed);
            // Without it small chunks of a stream wait for the caller's acknowledgement.
            let _ = stream.set_nodelay(true);
            match &worker.shared.door {
                None => connection(&worker, stream, peer.ip(), &builders, stop).await,
                // Who speaks no TLS, or shows no good certificate, is gone without a word.
                Some(door) => {
                    if let Ok(stream) = door.greet(stream).await {
                        connection(&worker, stream, peer.ip(), &builders, stop).await;
                    }
                }
            }
            worker.shared.metrics.connections.fetch_sub(1, Ordering::Relaxed);
            drop(open);
        });
    }
}

/// One open connection, counted until it is dropped.
struct Open {
    count: Arc<AtomicUsize>,
    closed: Rc<Notify>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.closed.notify_one();
    }
}

/// How connections are served, by version.
#[derive(Clone)]
struct Builders {
    http1: http1::Builder,
    http2: http2::Builder<Here>,
}

impl Builders {
    fn new(limits: &Limits) -> Self {
        Self { http1: builder(limits), http2: multiplexed::builder(limits) }
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let head = usize::try_from(limits.header_max_bytes).unwrap_or(usize::MAX);
    let count = usize::try_from(limits.header_max_count).unwrap_or(usize::MAX);
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_timeout_ms))
        .max_buf_size(head + HEAD_SLACK);
    if count >= HEADERS_IN_PLACE {
        // Beyond its default the HTTP library allocates for every request.
        builder.max_headers(count + 1);
    }
    builder
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    worker: &Rc<Worker>,
    stream: S,
    peer: IpAddr,
    builders: &Builders,
    mut stop: watch::Receiver<Ending>,
) {
    let limits = &worker.shared.limits;
    let first = Duration::from_millis(limits.header_timeout_ms);
    let detected = tokio::select! {
        detected = version::detect(stream, first) => detected,
        () = lingered(&mut stop) => return,
    };
    let Ok((version, stream)) = detected else { return };
    let patience = Duration::from_millis(limits.write_timeout_ms);
    let io = TokioIo::new(Guarded::new(stream, patience));
    match version {
        Version::Http1 => one_by_one(worker, io, peer, &builders.http1, stop).await,
        // Boxed: it is rare, and its size would be every connection's.
        Version::Http2 => Box::pin(many(worker, io, peer, &builders.http2, stop)).await,
    }
}

/// A connection of HTTP/1.1.
async fn one_by_one<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    worker: &Rc<Worker>,
    io: TokioIo<S>,
    peer: IpAddr,
    builder: &http1::Builder,
    mut stop: watch::Receiver<Ending>,
) {
    // A box a call, not room in every connection: a stream that runs, or a caller who thinks, holds none.
    let service = service_fn(|request| {
        Box::pin(async move {
            let mut response = respond(worker, request, peer).await;
            if *worker.stop.borrow() != Ending::Not {
                response.headers_mut().insert(header::CONNECTION, CLOSE);
            }
            Ok::<_, Infallible>(response)
        })
    });
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    // It ends after its next answer, which says so. One without a call is not closed at once: a request may be
    // on its way, which its caller would see cut. When another gateway takes over, it ends after the time after
    // which it always would have.
    tokio::select! {
        // Broken connections are the caller's affair; what they asked for is booked.
        _ = connection.as_mut() => return,
        () = lingered(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Until the platform stops, and then for as long as a caller's last request may be on its way.
async fn lingered(stop: &mut watch::Receiver<Ending>) {
    ending(stop, Ending::Stop).await;
    tokio::time::sleep(LINGER).await;
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A connection of HTTP/2.
async fn many<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    worker: &Rc<Worker>,
    io: TokioIo<S>,
    peer: IpAddr,
    builder: &http2::Builder<Here>,
    mut stop: watch::Receiver<Ending>,
) {
    let activity = Activity::new();
    let service = {
        let (worker, activity) = (Rc::clone(worker), Rc::clone(&activity));
        service_fn(move |request| {
            let (worker, call) = (Rc::clone(&worker), activity.call());
            async move {
                let response = respond(&worker, request, peer).await;
                Ok::<_, Infallible>(response.map(|body| Taken::new(body, call)))
            }
        })
    };
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let mut going = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = ending(&mut stop, Ending::HandOver), if !going => {
                going = true;
                connection.as_mut().graceful_shutdown();
            }
            () = activity.pause() => match activity.judge(&worker.shared.limits) {
                Verdict::Stay => {}
                Verdict::Close if !going => {
                    going = true;
                    connection.as_mut().graceful_shutdown();
                }
                // Told to go a moment ago, and idle still.
                Verdict::Close | Verdict::Cut => return,
            }
        }
    }
}

async fn respond(
    worker: &Rc<Worker>,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Response<Outgoing> {
    let path = request.uri().path();
    if let Err(refusal) = head_fits(worker, &request) {
        return turned_away(worker, request, &refusal);
    }
    if let Some(asks) = Asks::of(path) {
        return pipeline::serve(worker, asks, request, peer).await;
    }
    let answered = kserve::open(&worker.shared, request.method(), path)
        .or_else(|| grpc::open(&worker.shared, path));
    if let Some(response) = answered {
        intake::discard(request.into_body());
        return response;
    }
    match path {
        "/healthz" => health::alive(),
        "/readyz" => health::ready(&worker.shared),
        "/metrics" => health::metrics(&worker.shared),
        // Boxed: it is rare, and its size would be every call's.
        path if frontdoor::relays(path) => Box::pin(frontdoor::relay(worker, request, peer)).await,
        path => {
            let refusal = Refusal::unknown_route(path);
            turned_away(worker, request, &refusal)
        }
    }
}

fn head_fits(worker: &Worker, request: &Request<Incoming>) -> Result<(), Refusal> {
    let limits = &worker.shared.limits;
    let headers = request.headers();
    let size: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let size = size + request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if headers.len() as u64 > limits.header_max_count {
        let most = limits.header_max_count;
        let detail =
            format!("The request has {} headers; at most {most} are taken.", headers.len());
        return Err(Refusal::new(Code::HeadersTooLarge, detail));
    }
    if size as u64 > limits.header_max_bytes {
        let most = limits.header_max_bytes;
        let detail = format!("The request's head has {size} bytes; at most {most} are taken.");
        return Err(Refusal::new(Code::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Answer a request that leads nowhere, in the shape its path suggests.
fn turned_away(
    worker: &Worker,
    request: Request<Incoming>,
    refusal: &Refusal,
) -> Response<Outgoing> {
    let path = request.uri().path();
    let predicts = path.ends_with("/predict");
    let shape = match path {
        _ if grpc::is(request.headers()) => Shape::KserveGrpc,
        _ if path.starts_with("/v2/") || path == "/v2" => Shape::KserveV2,
        _ if path.starts_with("/v1/") && !predicts => Shape::OpenAi,
        _ => Shape::Problem,
    };
    let id = ids::new("req", clock::now_ms(), worker.random_wide());
    intake::discard(request.into_body());
    refusal.respond(shape, &id)
}
