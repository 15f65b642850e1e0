//! What may be connected to, for addresses that somebody gave by URL.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use towpath_upstream::{Denied, Egress, Own, Pool, Resolve, Resolving, Settings, UpstreamError};

use crate::stage::{OK, Stage, address, get, request, say, settings};

/// Answers a name anew each time it is asked, from a list.
#[derive(Clone, Default)]
struct Scripted {
    answers: Arc<Mutex<Vec<Vec<&'static str>>>>,
    asked: Arc<AtomicUsize>,
}

impl Scripted {
    fn of(answers: &[&[&'static str]]) -> Self {
        let answers = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() }
    }
}

impl Resolve for Scripted {
    fn resolve<'r>(&'r self, _host: &'r str, port: u16) -> Resolving<'r> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().pop();
        Box::pin(async move {
            let answer = answer.ok_or_else(|| io::Error::other("asked once too often"))?;
            Ok(answer.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect())
        })
    }
}

async fn stage() -> Stage {
    Stage::open(async |_, mut stream| {
        while !request(&mut stream).await.is_empty() {
            say(&mut stream, OK).await;
        }
    })
    .await
}

fn pool(egress: &Egress) -> Pool {
    Pool::new(Settings { egress: egress.clone(), ..settings() })
}

fn named(stage: &Stage, host: &str) -> towpath_upstream::Address {
    address(&stage.address.to_string().replace("127.0.0.1", host)).checked()
}

fn denied(error: &UpstreamError) -> Option<Denied> {
    match error {
        UpstreamError::Denied { why, .. } => Some(*why),
        _ => None,
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_leads_nowhere_else() {
    let stage = stage().await;
    let resolver = Scripted::of(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let egress = Egress::new(resolver.clone());
    egress.allow(&["127.0.0.1/32".parse().unwrap()]);

    let first = pool(&egress).send(&named(&stage, "rebound.example"), get("/")).await.unwrap();
    assert_eq!(first.body.collect(10).await.unwrap(), "ok");
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1, "what was checked is what was used");

    let second = pool(&egress).send(&named(&stage, "rebound.example"), get("/")).await;
    assert_eq!(denied(&second.unwrap_err()), Some(Denied::Loopback));
    assert_eq!(stage.accepted(), 1);
}

#[tokio::test]
async fn of_several_addresses_only_allowed_ones_are_tried() {
    let stage = stage().await;
    let egress = Egress::new(Scripted::of(&[&["169.254.169.254", "127.0.0.1"]]));
    egress.allow(&["127.0.0.1/32".parse().unwrap()]);

    let reply = pool(&egress).send(&named(&stage, "mixed.example"), get("/")).await.unwrap();

    assert_eq!(reply.body.collect(10).await.unwrap(), "ok");
}

#[tokio::test]
async fn every_spelling_of_this_machine_is_denied() {
    let stage = stage().await;
    let egress = Egress::default();
    for host in
        ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"]
    {
        let error = pool(&egress).send(&named(&stage, host), get("/")).await.unwrap_err();

        assert_eq!(denied(&error), Some(Denied::Loopback), "{host}: {error}");
        assert_eq!(error.code(), "egress_denied");
    }
    assert_eq!(stage.accepted(), 0);
}

#[tokio::test]
async fn what_the_platform_started_is_not_asked_about() {
    let stage = stage().await;

    let reply = pool(&Egress::default()).send(&stage.address, get("/")).await.unwrap();

    assert_eq!(reply.body.collect(10).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_kept_connection_ends_with_the_permission_and_serves_no_other_rule() {
    let stage = stage().await;
    let egress = Egress::default();
    egress.allow(&["127.0.0.0/8".parse().unwrap()]);
    let pool = pool(&egress);
    let checked = named(&stage, "127.0.0.1");
    let reply = pool.send(&checked, get("/")).await.unwrap();
    reply.body.collect(10).await.unwrap();
    assert_eq!(pool.idle_connections(), 1);

    egress.allow(&[]);
    let error = pool.send(&checked, get("/")).await.unwrap_err();
    assert_eq!(denied(&error), Some(Denied::Loopback));

    // The platform's own way there is another pool.
    let own = pool.send(&stage.address, get("/")).await.unwrap();
    own.body.collect(10).await.unwrap();
    let error = pool.send(&checked, get("/")).await.unwrap_err();
    assert_eq!(denied(&error), Some(Denied::Loopback));
}

#[tokio::test]
async fn sockets_and_the_platforms_other_parts_are_denied() {
    let stage = stage().await;
    let port = stage.address.to_string().rsplit(':').next().unwrap().parse().unwrap();
    let egress = Egress::new(Scripted::of(&[&["10.9.9.9"], &["10.9.9.9"]]));
    egress.own(&[Own::There { host: "control.internal".to_owned(), port }]);

    let socket = address("unix:/run/towpath/api.sock").checked();
    let socket = pool(&egress).send(&socket, get("/")).await.unwrap_err();
    let control = pool(&egress).send(&named(&stage, "alias.example"), get("/")).await.unwrap_err();

    assert_eq!(denied(&socket), Some(Denied::Socket));
    assert_eq!(denied(&control), Some(Denied::Platform));
}
