//! The running upstream: listeners, connections, and what a test holds in its hand.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::http::{Connection, Request};
use crate::log::{Counts, Ended, Log, Seen};
use crate::openai::{self, Ask, Operation};
use crate::plan::{self, Plain, Step};
use crate::script::Script;
use crate::{anthropic, control, grpc, kserve, media};

/// Pause between the pieces of what has no end: quick enough to keep limits of silence from firing.
const ENDLESS: Duration = Duration::from_millis(5);

/// A scripted upstream on a loopback port or Unix socket. Dropping it stops it and cuts its connections.
#[derive(Debug)]
pub struct FakeUpstream {
    base_url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: Log,
    settings: Mutex<Settings>,
}

#[derive(Debug, Default)]
struct Settings {
    bearer: Option<String>,
    /// Scripts by model, each with how often it still applies; `None`: for ever.
    scripts: HashMap<String, VecDeque<(Script, Option<u32>)>>,
    signatures: HashMap<String, Value>,
}

impl FakeUpstream {
    /// Listen on a free loopback port.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn start() -> io::Result<Self> {
        Self::listen("127.0.0.1:0").await
    }

    /// Listen on `host:port` or `unix:/path`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn listen(address: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared { log: Log::new(), settings: Mutex::default() });
        let accepted = Arc::clone(&shared);
        let (base_url, task) = if let Some(path) = address.strip_prefix("unix:") {
            let listener = UnixListener::bind(path)?;
            (address.to_owned(), tokio::spawn(accept_unix(listener, PathBuf::from(path), accepted)))
        } else {
            let listener = TcpListener::bind(address).await?;
            let base_url = format!("http://{}", listener.local_addr()?);
            (base_url, tokio::spawn(accept_tcp(listener, accepted)))
        };
        Ok(Self { base_url, shared, task })
    }

    /// An address that refuses connections, as long as this program runs: it is taken, so that no other
    /// server comes to listen there, and nobody listens.
    ///
    /// # Errors
    /// No port could be had.
    pub fn refusing() -> io::Result<String> {
        let taken = Box::leak(Box::new(tokio::net::TcpSocket::new_v4()?));
        taken.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(format!("http://{}", taken.local_addr()?))
    }

    /// An address that takes connections and never reads from them, for as long as the listener is kept: the
    /// kernel answers for a server that hangs.
    ///
    /// # Errors
    /// No port could be had.
    pub fn deaf() -> io::Result<(String, std::net::TcpListener)> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        Ok((format!("http://{}", listener.local_addr()?), listener))
    }

    /// `http://host:port` or `unix:/path`; OpenAI routes are under `/v1`, KServe's under `/v2`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Answer this model by this script from now on.
    pub fn script(&self, model: &str, script: Script) {
        self.shared.set_script(model, script, None);
    }

    /// Answer this model's next `times` requests by this script, after those queued before.
    pub fn script_next(&self, model: &str, script: Script, times: u32) {
        self.shared.set_script(model, script, Some(times));
    }

    /// Describe a KServe model: `{"inputs": [{"name", "datatype", "shape"}], "outputs": […]}`.
    pub fn signature(&self, model: &str, signature: Value) {
        self.shared.set_signature(model, signature);
    }

    /// Answer 401 to whoever does not send `Authorization: Bearer <token>`, or `x-api-key: <token>` as
    /// Anthropic's clients do.
    pub fn require_bearer(&self, token: &str) {
        self.shared.settings(|settings| settings.bearer = Some(token.to_owned()));
    }

    /// Open a gate for those who wait at it and all who come later.
    pub fn release(&self, gate: &str) {
        self.shared.log.release(gate);
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.log.seen()
    }

    /// Totals since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.log.counts()
    }

    /// Wait until the requests and totals are so.
    pub async fn wait_until(&self, condition: impl Fn(&[Seen], &Counts) -> bool) {
        self.shared.log.wait(condition).await;
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn settings<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        change(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_script(&self, model: &str, script: Script, times: Option<u32>) {
        self.settings(|settings| {
            let queue = settings.scripts.entry(model.to_owned()).or_default();
            if times.is_none() {
                queue.clear();
            }
            queue.push_back((script, times));
        });
    }

    pub(crate) fn set_signature(&self, model: &str, signature: Value) {
        self.settings(|settings| settings.signatures.insert(model.to_owned(), signature));
    }

    pub(crate) fn signature(&self, model: &str) -> Value {
        self.settings(|settings| settings.signatures.get(model).cloned())
            .unwrap_or_else(kserve::default_signature)
    }

    /// The script for a request: of its header, of its model as set, of its model's name.
    pub(crate) fn script_for(&self, request: &Request, model: &str) -> Result<Script, String> {
        if let Some(text) = request.header("x-fake-script") {
            let script: Script =
                serde_json::from_str(text).map_err(|error| format!("x-fake-script: {error}"))?;
            script.check()?;
            return Ok(script);
        }
        let set = self.settings(|settings| {
            let queue = settings.scripts.get_mut(model)?;
            let (script, times) = queue.front_mut()?;
            let script = script.clone();
            if let Some(times) = times {
                *times = times.saturating_sub(1);
                if *times == 0 {
                    queue.pop_front();
                }
            }
            Some(script)
        });
        Ok(set.or_else(|| Script::of_model(model)).unwrap_or_default())
    }

    pub(crate) fn is_allowed(&self, request: &Request) -> bool {
        let bearer = self.settings(|settings| settings.bearer.clone());
        bearer.is_none_or(|token| {
            request.header("authorization") == Some(format!("Bearer {token}").as_str())
                || request.header("x-api-key") == Some(token.as_str())
        })
    }
}

async fn accept_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        // An error here is of one connection that broke before it was accepted.
        if let Ok((stream, _)) = listener.accept().await
            && stream.set_nodelay(true).is_ok()
        {
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                if grpc::speaks_http2(&stream).await {
                    // A connection that broke is what the other end will see.
                    let _ = grpc::serve(stream, &shared).await;
                    return;
                }
                let (stream, ending) = serve(Connection::new(stream), &shared).await;
                reset_if(&stream, ending);
            });
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn accept_unix(listener: UnixListener, path: PathBuf, shared: Arc<Shared>) {
    let _socket = RemovedWhenDropped(path);
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                // A Unix socket has no reset: it is closed instead.
                let _: (UnixStream, Ending) = serve(Connection::new(stream), &shared).await;
            });
        }
        while connections.try_join_next().is_some() {}
    }
}

struct RemovedWhenDropped(PathBuf);

impl Drop for RemovedWhenDropped {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(path);
    }
}

/// How a connection is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Closed,
    Reset,
}

fn reset_if(stream: &TcpStream, ending: Ending) {
    if ending == Ending::Reset {
        // Without lingering, closing sends a reset; failing that, it is closed.
        let _ = stream.set_zero_linger();
    }
}

async fn serve<S>(mut connection: Connection<S>, shared: &Shared) -> (S, Ending)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut number = None;
    while let Ok(Some(request)) = connection.read_request().await {
        if control::is_control(request.path()) {
            let answer = control::answer(shared, &request).await;
            let steps = plan::plain(&Script::default(), answer);
            if !matches!(perform(&mut connection, shared, None, steps).await, Ok(After::Next)) {
                break;
            }
            continue;
        }
        let on = *number.get_or_insert_with(|| shared.log.connected());
        let (seen, steps) = respond(shared, &request, on);
        let seen = shared.log.add(seen);
        let after = perform(&mut connection, shared, Some(seen), steps).await;
        let after = after.unwrap_or(After::ClientGone);
        shared.log.end(seen, after.ended());
        match after {
            After::Next => {}
            After::Reset => return (connection.into_stream(), Ending::Reset),
            _ => break,
        }
    }
    connection.close().await;
    (connection.into_stream(), Ending::Closed)
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Next,
    HangUp,
    Cut,
    Reset,
    ClientGone,
}

impl After {
    fn ended(self) -> Ended {
        match self {
            Self::Next | Self::HangUp => Ended::Whole,
            Self::Cut | Self::Reset => Ended::Cut,
            Self::ClientGone => Ended::ClientGone,
        }
    }
}

async fn perform<S>(
    connection: &mut Connection<S>,
    shared: &Shared,
    seen: Option<u64>,
    steps: Vec<Step>,
) -> io::Result<After>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let number = seen.unwrap_or(0);
    for step in steps {
        match step {
            Step::Status(status) => shared.log.update(number, |seen| seen.status = Some(status)),
            Step::Write(bytes) => connection.write(&bytes).await?,
            Step::Produced(tokens) => shared.log.produced(number, tokens),
            Step::Delay(length) => tokio::select! {
                () = connection.gone() => return Ok(After::ClientGone),
                () = tokio::time::sleep(length) => {}
            },
            Step::Gate(gate) => {
                shared.log.update(number, |seen| seen.waiting_at = Some(gate.clone()));
                tokio::select! {
                    () = connection.gone() => return Ok(After::ClientGone),
                    () = shared.log.released(&gate) => {}
                }
                shared.log.update(number, |seen| seen.waiting_at = None);
            }
            Step::Hold => {
                connection.gone().await;
                return Ok(After::ClientGone);
            }
            Step::Endless(bytes) => loop {
                connection.write(&bytes).await?;
                tokio::select! {
                    () = connection.gone() => return Ok(After::ClientGone),
                    () = tokio::time::sleep(ENDLESS) => {}
                }
            },
            Step::Cut => return Ok(After::Cut),
            Step::Reset => return Ok(After::Reset),
            Step::HangUp => return Ok(After::HangUp),
        }
    }
    Ok(After::Next)
}

/// What to note of a request, and what to answer.
fn respond(shared: &Shared, request: &Request, connection: u64) -> (Seen, Vec<Step>) {
    let json_size = request.header("inference-header-content-length");
    let json_size = json_size.and_then(|size| size.parse().ok()).unwrap_or(usize::MAX);
    let (text, raw) = request.body.split_at(json_size.min(request.body.len()));
    let form = media::form(request.header("content-type"), &request.body);
    let mut body: Value = form.unwrap_or_else(|| serde_json::from_slice(text).unwrap_or_default());
    let unpacked = kserve::unpack(&mut body, raw);
    let path = request.path();
    let v2 = V2::of_path(path);
    let model = v2.as_ref().and_then(|v2| v2.model).or(body["model"].as_str());
    let operation = Operation::of_path(path);
    let ask = operation.map(|operation| Ask::read(operation, &body));
    let seen = Seen {
        number: 0,
        connection,
        id: request.header("x-request-id").map(str::to_owned),
        method: request.method.clone(),
        path: request.target.clone(),
        headers: request.headers.clone(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
        model: model.map(str::to_owned),
        input_tokens: ask
            .as_ref()
            .map_or_else(|| kserve::input_tokens(&body), |ask| ask.input_tokens),
        output_tokens: 0,
        status: None,
        waiting_at: None,
        ended: Ended::Running,
    };
    let steps = match shared.script_for(request, model.unwrap_or_default()) {
        Err(problem) => plan::plain(&Script::default(), plan::v2_error(400, &problem)),
        Ok(_) if !shared.is_allowed(request) && path != "/health" => {
            plan::plain(&Script::default(), Plain::json(401, &openai::error(401)))
        }
        Ok(script) => match (ask, v2) {
            (Some(ask), _) if ask.stream => plan::stream(&script, &ask),
            (Some(ask), _) => plan::answer(&script, &ask),
            (None, Some(v2)) => {
                let answer = match &unpacked {
                    Ok(()) => v2.answer(shared, request, &body, &script),
                    Err(problem) => plan::v2_error(400, problem),
                };
                plan::plain(&script, answer)
            }
            (None, None) if path == "/v1/messages/count_tokens" => {
                plan::plain(&script, Plain::json(200, &anthropic::count(&body)))
            }
            (None, None) => plan::plain(&script, other(path)),
        },
    };
    (seen, steps)
}

fn other(path: &str) -> Plain {
    match path {
        "/health" => Plain::json(200, &serde_json::json!({"status": "ok"})),
        "/v1/models" => Plain::json(200, &openai::models()),
        _ => plan::v2_error(404, &format!("nothing is at `{path}`")),
    }
}

/// A KServe V2 route.
struct V2<'a> {
    model: Option<&'a str>,
    /// What follows the model, or stands in its place.
    rest: &'a str,
}

impl<'a> V2<'a> {
    fn of_path(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?;
        let Some(rest) = rest.strip_prefix("/models/") else {
            return Some(Self { model: None, rest });
        };
        let (model, mut rest) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(versioned) = rest.strip_prefix("versions/") {
            rest = versioned.split_once('/').map_or("", |(_, rest)| rest);
        }
        Some(Self { model: Some(model), rest })
    }

    fn answer(&self, shared: &Shared, request: &Request, body: &Value, script: &Script) -> Plain {
        let (get, post) = (request.method == "GET", request.method == "POST");
        match (self.model, self.rest) {
            (None, "" | "/") if get => {
                let name = env!("CARGO_PKG_NAME");
                let version = env!("CARGO_PKG_VERSION");
                Plain::json(
                    200,
                    &serde_json::json!({"name": name, "version": version, "extensions": []}),
                )
            }
            (None, "/health/live") if get => Plain::json(200, &serde_json::json!({"live": true})),
            (None, "/health/ready") if get => Plain::json(200, &serde_json::json!({"ready": true})),
            (Some(model), "") if get => {
                Plain::json(200, &kserve::metadata(model, &shared.signature(model)))
            }
            (Some(model), "ready") if get => {
                Plain::json(200, &serde_json::json!({"name": model, "ready": true}))
            }
            (Some(model), "infer") if post => {
                match kserve::infer(model, &shared.signature(model), body, script) {
                    Ok(answer) => {
                        let (body, json_size) = kserve::pack(answer, body);
                        let content_type = match json_size {
                            Some(_) => "application/octet-stream",
                            None => "application/json",
                        };
                        Plain { status: 200, content_type, body, tokens: 0, json_size }
                    }
                    Err(problem) => plan::v2_error(400, &problem),
                }
            }
            _ => plan::v2_error(404, &format!("nothing is at `{}`", request.target)),
        }
    }
}

#[cfg(test)]
mod tests;
