//! A gateway process with a control plane and a scripted upstream, each of its own.

pub mod api;
pub mod client;
pub mod control;
pub mod http2;
pub mod otlp;
pub mod tables;
pub mod tls;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_testkit::FakeUpstream;
use towpath_wire::routing::Envelope;

use client::{Answer, Head};
use control::Control;
use tables::GOOD;

/// How a gateway is started.
#[derive(Clone, Default)]
pub struct Options {
    pub settings: Vec<(&'static str, u64)>,
    /// Settings that are text.
    pub texts: Vec<(&'static str, String)>,
    pub control: Option<String>,
    pub api: Option<String>,
    pub table: Option<PathBuf>,
    /// Start beside the gateway that has the folder, and accept when let go.
    pub standby: bool,
    /// Further arguments.
    pub arguments: Vec<String>,
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Gateway {
    pub fn start(data: &Path, options: &Options) -> Self {
        let program = env!("CARGO_BIN_EXE_towpath-gateway");
        let mut command = Command::new(if options.standby { "/bin/sh" } else { program });
        if options.standby {
            // The gate is a pipe, under a number of its own.
            command.args(["-c", r#"exec "$0" "$@" 3<&0 </dev/null"#, program, "--standby-fd", "3"]);
            command.stdin(Stdio::piped());
        }
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.env_clear().env("TOWPATH_SECRET_KEY", tables::SECRET);
        if let Some(control) = &options.control {
            command.args(["--control", control]);
            command.env("TOWPATH_LINK_CREDENTIAL", control::CREDENTIAL);
        }
        if let Some(table) = &options.table {
            command.arg("--table").arg(table);
        }
        if let Some(api) = &options.api {
            command.args(["--api", api]);
        }
        command.args(&options.arguments);
        for (name, value) in &options.settings {
            command.env(format!("TOWPATH_GATEWAY_{}", name.to_uppercase()), value.to_string());
        }
        for (name, value) in &options.texts {
            command.env(format!("TOWPATH_GATEWAY_{}", name.to_uppercase()), value);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let line = lines.next().expect("the gateway ended before it listened").unwrap();
            let started: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            log.lock().unwrap().push_str(&line);
            if started["event"] == "gateway.started" {
                break started["address"].as_str().unwrap().parse().unwrap();
            }
        };
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, address, log }
    }

    /// Let a gateway that stands by accept.
    pub fn let_go(&mut self) {
        self.child.stdin = None;
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Until the log names this event: lines are written behind the answers they belong to.
    pub async fn logged(&self, event: &str) {
        let seen = async {
            while !self.log().contains(event) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), seen).await;
        assert!(waited.is_ok(), "no {event} in {}", self.log());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Head {
        client::send(self.address, method, path, headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_as(GOOD, path).await
    }

    pub async fn get_as(&self, key: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        self.send(Method::GET, path, &[("authorization", &bearer)], "").await.rest().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("authorization", "Bearer tp_sandbox_good")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, body.to_string()).await.rest().await
    }

    pub async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        self.send(Method::POST, path, &headers, body.to_string()).await.rest().await
    }

    /// A stream's head and first chunks are left to the test.
    pub async fn stream(&self, body: &Value) -> Head {
        let headers = [("authorization", "Bearer tp_sandbox_good")];
        self.send(Method::POST, "/v1/chat/completions", &headers, body.to_string()).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway with everything around it.
pub struct World {
    pub gateway: Gateway,
    pub control: Control,
    pub upstream: FakeUpstream,
    pub data: TempDir,
    pub options: Options,
}

impl World {
    /// One endpoint `m` on the scripted upstream's model `m`.
    pub async fn simple() -> Self {
        Self::with(&[], |base| {
            vec![tables::target("m", base, &json!({})), tables::endpoint("m", &json!({}))]
        })
        .await
    }

    /// The organisation and whatever `more` adds to its table, given the upstream's address.
    pub async fn with(
        settings: &[(&'static str, u64)],
        more: impl FnOnce(&str) -> Vec<Envelope>,
    ) -> Self {
        let upstream = FakeUpstream::start().await.unwrap();
        let control = Control::start().await;
        let mut entities = tables::organisation();
        entities.extend(more(upstream.base_url()));
        control.snapshot(1, entities);
        let data = tempfile::tempdir().unwrap();
        let options = Options {
            settings: settings.to_vec(),
            control: Some(control.address.clone()),
            ..Options::default()
        };
        let gateway = Gateway::start(data.path(), &options);
        control.applied(1).await;
        Self { gateway, control, upstream, data, options }
    }

    pub fn folder(&self) -> PathBuf {
        self.data.path().to_owned()
    }

    /// Let the gateway end in order.
    pub async fn stop(&mut self) {
        self.gateway.signal("-TERM");
        self.gateway.ended().await;
    }

    /// Start the gateway anew on the same data folder.
    pub fn restart(&mut self) {
        let _ = self.gateway.child.kill();
        let _ = self.gateway.child.wait();
        self.gateway = Gateway::start(self.data.path(), &self.options);
    }
}

/// A chat with one short message.
pub fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "one two three"}]})
}

/// The same as a stream.
pub fn streamed(model: &str) -> Value {
    let mut body = chat(model);
    body["stream"] = true.into();
    body
}
