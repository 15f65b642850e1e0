//! A control plane's API: keeps what it is asked and answers 201 with the body it got.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::watch;

#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub struct Api {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: watch::Sender<bool>,
    folder: TempDir,
}

impl Api {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            let mut stop = stopped.clone();
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    _ = stop.changed() => return,
                };
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request: Request<Incoming>| {
                    let (parts, body) = request.into_parts();
                    let path = parts.uri.path_and_query().unwrap().to_string();
                    let (method, headers) = (parts.method.to_string(), parts.headers);
                    kept.lock().unwrap().push(Seen { method, path, headers });
                    let response = Response::builder().status(201).header("x-from", "api");
                    async move { Ok::<_, Infallible>(response.body(body).unwrap()) }
                });
                let mut stop = stopped.clone();
                tokio::spawn(async move {
                    let serving =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        _ = serving => {}
                        _ = stop.changed() => {}
                    }
                });
            }
        });
        Self { address: format!("unix:{}", path.display()), seen, stop, folder }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Close everything; the socket's file goes, too.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
        std::fs::remove_file(self.folder.path().join("api.sock")).unwrap();
    }
}
