//! The listener's TLS: certificates of the test's own, changed while calls run.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::grpc::infer;
use crate::kserve::texts;
use crate::support::api::Api;
use crate::support::control::Control;
use crate::support::http2::Connection;
use crate::support::tables::{self, GOOD, endpoint, target};
use crate::support::tls::{Authority, Signed, connector};
use crate::support::{Gateway, Options, chat};

struct World {
    gateway: Gateway,
    authority: Authority,
    files: TempDir,
    _parts: (Control, towpath_testkit::FakeUpstream, TempDir),
}

impl World {
    async fn start(more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let authority = Authority::new();
        let files = tempfile::tempdir().unwrap();
        authority.sign(ExtendedKeyUsagePurpose::ServerAuth).write(files.path());
        let upstream = towpath_testkit::FakeUpstream::start().await.unwrap();
        let control = Control::start().await;
        let mut entities = tables::organisation();
        entities.push(target("m", upstream.base_url(), &json!({})));
        entities.push(endpoint("m", &json!({})));
        control.snapshot(1, entities);
        let data = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        let mut arguments = vec![
            "--tls-cert".to_owned(),
            path("cert.pem"),
            "--tls-key".to_owned(),
            path("key.pem"),
        ];
        arguments.extend(more(files.path()));
        let control_address = Some(control.address.clone());
        let options = Options { control: control_address, arguments, ..Options::default() };
        let gateway = Gateway::start(data.path(), &options);
        control.applied(1).await;
        Self { gateway, authority, files, _parts: (control, upstream, data) }
    }

    fn client(&self, shows: Option<&Signed>) -> TlsConnector {
        connector(&[&self.authority], shows, &[&TLS12, &TLS13])
    }
}

async fn connect(
    address: SocketAddr,
    client: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    client.connect(name, TcpStream::connect(address).await?).await
}

/// One call on a connection of its own; its status, and the certificate that was shown.
async fn call(address: SocketAddr, client: &TlsConnector) -> Result<(u16, Vec<u8>), String> {
    let stream = connect(address, client).await.map_err(|error| error.to_string())?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::post("/v1/chat/completions")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {GOOD}"))
        .body(Full::<bytes::Bytes>::from(chat("m").to_string()))
        .unwrap();
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    answer.into_body().collect().await.map_err(|error| error.to_string())?;
    Ok((status, shown))
}

#[tokio::test]
async fn both_versions_are_spoken_and_nothing_in_the_clear() {
    let world = World::start(|_| vec![]).await;
    let address = world.gateway.address;
    for version in [&TLS12, &TLS13] {
        let client = connector(&[&world.authority], None, &[version]);
        assert_eq!(call(address, &client).await.unwrap().0, 200, "{version:?}");
    }

    let mut plain = TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut said).await;
    assert!(!said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));
}

/// The same client, offering these protocols.
fn offering(client: &TlsConnector, protocols: &[&str]) -> TlsConnector {
    let mut config = Arc::unwrap_or_clone(Arc::clone(client.config()));
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn callers_get_the_version_of_http_that_they_offer_on_one_port() {
    let world = World::start(|_| vec![]).await;
    let address = world.gateway.address;
    let offers: [(&[&str], Option<&[u8]>); 4] = [
        (&["h2", "http/1.1"], Some(b"h2")),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ];
    for (offered, spoken) in offers {
        let client = offering(&world.client(None), offered);
        let stream = connect(address, &client).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), spoken, "{offered:?}");
        if spoken == Some(b"h2") {
            let key = format!("Bearer {GOOD}");
            let mut caller = Connection::over(stream).await;
            let headers = [("authorization", key.as_str())];
            let body = chat("m").to_string();
            let chat = caller.call("POST", "/v1/chat/completions", &headers, body).await;
            assert_eq!(chat.status, 200, "{offered:?}");
        } else {
            assert_eq!(call(address, &client).await.unwrap().0, 200, "{offered:?}");
        }
    }
    let strange = connect(address, &offering(&world.client(None), &["spdy/3"])).await;
    assert!(strange.is_err());
}

#[tokio::test]
async fn grpc_and_its_streams_pass_over_tls_beside_rest() {
    let world = World::start(|_| vec![]).await;
    let client = offering(&world.client(None), &["h2"]);
    let stream = connect(world.gateway.address, &client).await.unwrap();
    let mut caller = Connection::over(stream).await;
    let message = || infer("m", &texts(&["a"]));
    let one = caller.grpc("ModelInfer", &[], message()).await;
    let mut talk = caller.talk(&[]).await;
    talk.ask(message()).await;
    let told = talk.told().await;
    talk.end();

    // The model is one that chats: the refusal is its own, and comes as gRPC.
    assert_eq!(one.refusal().0, "3");
    assert!(told.is_some());
    assert_eq!(talk.ending("grpc-status").await, "0");
}

#[tokio::test]
async fn a_caller_that_does_not_finish_the_handshake_is_let_go() {
    let files = tempfile::tempdir().unwrap();
    Authority::new().sign(ExtendedKeyUsagePurpose::ServerAuth).write(files.path());
    let data = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let options = Options {
        settings: vec![("tls_handshake_ms", 40)],
        arguments: vec!["--tls-cert".into(), path("cert.pem"), "--tls-key".into(), path("key.pem")],
        ..Options::default()
    };
    let gateway = Gateway::start(data.path(), &options);

    let mut mute = TcpStream::connect(gateway.address).await.unwrap();
    let mut answer = [0; 16];
    let ended = tokio::io::AsyncReadExt::read(&mut mute, &mut answer);

    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it stays open");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn a_new_certificate_is_taken_under_load_without_a_failed_call() {
    let world = World::start(|_| vec![]).await;
    let address = world.gateway.address;
    let client = world.client(None);
    let stop = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop, calls) = (client.clone(), Arc::clone(&stop), Arc::clone(&calls));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match call(address, &client).await {
                        Ok((200, _)) => {}
                        other => failures.push(format!("{other:?}")),
                    }
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                failures
            })
        })
        .collect();

    for signal in [None, Some("-HUP")] {
        // First the key alone: the pair does not fit, and the former stays in force.
        let next = world.authority.sign(ExtendedKeyUsagePurpose::ServerAuth);
        std::fs::write(world.files.path().join("key.pem"), &next.key).unwrap();
        world.gateway.signal("-HUP");
        let seen = calls.load(Ordering::Relaxed);
        while calls.load(Ordering::Relaxed) < seen + 8 {
            tokio::task::yield_now().await;
        }
        next.write(world.files.path());
        if let Some(signal) = signal {
            world.gateway.signal(signal);
        }
        let shown = async { while call(address, &client).await.unwrap().1 != next.der.to_vec() {} };
        tokio::time::timeout(Duration::from_secs(20), shown).await.expect("never shown");
    }
    stop.store(true, Ordering::Relaxed);

    for worker in load {
        assert_eq!(worker.await.unwrap(), Vec::<String>::new());
    }
    world.gateway.logged("certificate.not_loaded").await;
}

#[tokio::test]
async fn callers_show_a_certificate_where_it_is_asked_for() {
    let clients = Authority::new();
    let pem = clients.0.pem();
    let good = clients.sign(ExtendedKeyUsagePurpose::ClientAuth);
    let strange = Authority::new().sign(ExtendedKeyUsagePurpose::ClientAuth);
    for (auth, without) in [("required", false), ("optional", true)] {
        let world = World::start(|folder| {
            std::fs::write(folder.join("clients.pem"), &pem).unwrap();
            let config = folder.join("towpath.toml");
            let text = format!(
                "[gateway]\ntls_client_ca_file = \"{}\"\ntls_client_auth = \"{auth}\"\n",
                folder.join("clients.pem").display()
            );
            std::fs::write(&config, text).unwrap();
            vec!["--config".to_owned(), config.display().to_string()]
        })
        .await;
        let address = world.gateway.address;
        let served =
            async |shows| matches!(call(address, &world.client(shows)).await, Ok((200, _)));

        assert!(served(Some(&good)).await, "{auth}");
        assert_eq!(served(None).await, without, "{auth}");
        assert!(!served(Some(&strange)).await, "{auth}");
    }
}

#[tokio::test]
async fn the_control_plane_learns_that_callers_use_tls() {
    let api = Api::start().await;
    let address = api.address.clone();
    let world = World::start(|_| vec!["--api".to_owned(), address]).await;
    let stream = connect(world.gateway.address, &world.client(None)).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);

    let request = Request::get("/api/v1/teams").header("host", "towpath.example");
    let request = request.body(Full::<bytes::Bytes>::default()).unwrap();
    sender.send_request(request).await.unwrap();

    assert_eq!(api.seen().last().unwrap().header("x-forwarded-proto"), "https");
}

#[test]
fn an_address_beyond_this_machine_needs_tls_or_a_word() {
    let data = tempfile::tempdir().unwrap();
    let start = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_towpath-gateway"));
        command.args(["--listen", "0.0.0.0:0", "--data"]).arg(data.path()).args(more);
        command.env_clear().env("TOWPATH_SECRET_KEY", tables::SECRET);
        command.stderr(std::process::Stdio::piped()).spawn().unwrap()
    };

    let refused = start(&[]).wait_with_output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(said.contains("give --tls-cert and --tls-key, or --insecure"), "{said}");

    let mut allowed = start(&["--insecure"]);
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(allowed.stderr.take().unwrap()));
    assert!(lines.next().unwrap().unwrap().contains("gateway.started"));
    allowed.kill().unwrap();
    allowed.wait().unwrap();
}
