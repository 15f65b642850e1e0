//! A control plane that speaks the link and nothing else: hands out tables, keeps usage.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use towpath_wire::budget::BudgetState;
use towpath_wire::link::{
    BodyBatch, LoggedBodies, Refusal, RoutingPoll, RoutingReply, UsageAck, UsageBatch,
};
use towpath_wire::routing::{Batch, Envelope, Revocation, Snapshot, TABLE_VERSION};
use towpath_wire::signals::Signals;
use towpath_wire::usage::UsageRecord;

pub const CREDENTIAL: &str = "link-credential-of-at-least-32-characters";

#[derive(Debug, Default)]
struct State {
    snapshot: Option<Snapshot>,
    batches: Vec<Batch>,
    revocations: Vec<Revocation>,
    records: Vec<UsageRecord>,
    signals: Vec<Signals>,
    bodies: Vec<BodyBatch>,
    refused: Option<Refusal>,
    applied: u64,
    polls: Vec<RoutingPoll>,
    /// Token budgets that are kept count of, by id, and how often that changed.
    budgets: BTreeMap<String, BudgetState>,
    budgets_to: u64,
    /// Gateways that are connected; 0: one.
    gateways: u32,
    /// Answer every call with this status.
    sick: Option<u16>,
}

/// The control plane's end of the link.
#[derive(Clone)]
pub struct Control {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
    pub address: String,
}

impl Control {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let control =
            Self { state: Arc::default(), changed: Arc::new(watch::channel(0).0), address };
        let serving = control.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let control = serving.clone();
                let service = service_fn(move |request| {
                    let control = control.clone();
                    async move { Ok::<_, Infallible>(control.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        control
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
        result
    }

    pub fn snapshot(&self, revision: u64, entities: Vec<Envelope>) {
        let snapshot = Snapshot { version: TABLE_VERSION, revision, advisory: vec![], entities };
        self.change(|state| {
            state.snapshot = Some(snapshot);
            state.batches.clear();
        });
    }

    pub fn batch(&self, batch: Batch) {
        self.change(|state| state.batches.push(batch));
    }

    pub fn revoke(&self, revocation: Revocation) {
        self.change(|state| state.revocations.push(revocation));
    }

    pub fn sick(&self, status: Option<u16>) {
        self.change(|state| state.sick = status);
    }

    /// From the next change of the table on gateways are told that they are so many.
    pub fn gateways(&self, count: u32) {
        self.change(|state| state.gateways = count);
    }

    /// Keep count of a token budget that every call counts towards, from this much on.
    pub fn budget(&self, id: &str, period_start_ms: i64, used: u64) {
        let budget = id.to_owned();
        let state = BudgetState { budget, period_start_ms, used, as_of: BTreeMap::new() };
        self.change(|all| {
            all.budgets.insert(id.to_owned(), state);
            all.budgets_to += 1;
        });
    }

    /// What the ledger has of a budget.
    pub fn used(&self, id: &str) -> u64 {
        self.state.lock().unwrap().budgets[id].used
    }

    pub fn records(&self) -> Vec<UsageRecord> {
        self.state.lock().unwrap().records.clone()
    }

    pub fn refused(&self) -> Option<Refusal> {
        self.state.lock().unwrap().refused.clone()
    }

    pub fn polls(&self) -> Vec<RoutingPoll> {
        self.state.lock().unwrap().polls.clone()
    }

    pub fn signals(&self) -> Vec<Signals> {
        self.state.lock().unwrap().signals.clone()
    }

    /// What was logged of bodies.
    pub fn bodies(&self) -> Vec<LoggedBodies> {
        let state = self.state.lock().unwrap();
        state.bodies.iter().flat_map(|batch| batch.bodies.clone()).collect()
    }

    /// Requests whose bodies were lost.
    pub fn lost_bodies(&self) -> u64 {
        self.state.lock().unwrap().bodies.iter().map(|batch| batch.lost).sum()
    }

    /// Wait until this is so of what the gateway told.
    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        let holds = async {
            while !condition(self) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), holds).await.expect("never so");
    }

    /// Wait until a revision is acknowledged.
    pub async fn applied(&self, revision: u64) {
        self.wait_until(|control| control.state.lock().unwrap().applied >= revision).await;
    }

    /// Wait for the record of a request.
    pub async fn record(&self, id: &str) -> UsageRecord {
        self.wait_until(|control| control.records().iter().any(|record| record.id == id)).await;
        self.records().into_iter().find(|record| record.id == id).unwrap()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        assert_eq!(parts.headers["authorization"], format!("Bearer {CREDENTIAL}"));
        let body = body.collect().await.unwrap().to_bytes();
        if let Some(status) = self.state.lock().unwrap().sick {
            return reply(status, &());
        }
        match parts.uri.path() {
            "/link/v1/routing" => {
                let poll: RoutingPoll = serde_json::from_slice(&body).unwrap();
                reply(200, &self.routing(&poll).await)
            }
            "/link/v1/usage" => {
                let batch: UsageBatch = serde_json::from_slice(&body).unwrap();
                let acknowledged = batch.records.last().unwrap().sequence;
                let budgets = self.change(|state| {
                    for budget in state.budgets.values_mut() {
                        let as_of = budget.as_of.entry(batch.gateway_id.clone()).or_default();
                        for record in batch.records.iter().filter(|r| r.sequence > *as_of) {
                            budget.used += record.input_tokens.unwrap_or(0);
                            budget.used += record.output_tokens.unwrap_or(0);
                        }
                        *as_of = acknowledged.max(*as_of);
                    }
                    state.budgets_to += u64::from(!state.budgets.is_empty());
                    state.records.extend(batch.records);
                    state.budgets.values().cloned().collect()
                });
                reply(200, &UsageAck { acknowledged, budgets })
            }
            "/link/v1/signals" => {
                let signals: Signals = serde_json::from_slice(&body).unwrap();
                self.change(|state| state.signals.push(signals));
                reply(204, &())
            }
            "/link/v1/bodies" => {
                let batch: BodyBatch = serde_json::from_slice(&body).unwrap();
                self.change(|state| state.bodies.push(batch));
                reply(204, &())
            }
            path => panic!("{path} is no path of the link"),
        }
    }

    async fn routing(&self, poll: &RoutingPoll) -> RoutingReply {
        self.change(|state| {
            state.applied = poll.after;
            state.refused.clone_from(&poll.refused);
            state.polls.push(poll.clone());
        });
        let mut changed = self.changed.subscribe();
        let wait = std::time::Duration::from_millis(u64::from(poll.wait_ms));
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            changed.borrow_and_update();
            if let Some(reply) = self.news(poll) {
                return reply;
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return empty(poll.revocations_after);
            }
        }
    }

    fn news(&self, poll: &RoutingPoll) -> Option<RoutingReply> {
        let state = self.state.lock().unwrap();
        let known = usize::try_from(poll.revocations_after).unwrap();
        let mut reply = empty(state.revocations.len() as u64);
        reply.gateways = state.gateways.max(1);
        reply.revocations = state.revocations.get(known..).unwrap_or_default().to_vec();
        let refused = poll.refused.as_ref().map(|refused| refused.revision);
        if poll.after == 0 {
            reply.snapshot = state.snapshot.clone().filter(|s| Some(s.revision) != refused);
        } else {
            let batch = state.batches.iter().find(|batch| batch.from == poll.after);
            reply.batch = batch.filter(|batch| Some(batch.to) != refused).cloned();
        }
        if poll.budgets_after < state.budgets_to {
            reply.budgets = state.budgets.values().cloned().collect();
        }
        reply.budgets_to = state.budgets_to;
        let empty = reply.budgets.is_empty()
            && reply.revocations.is_empty()
            && reply.snapshot.is_none()
            && reply.batch.is_none();
        (!empty).then_some(reply)
    }
}

fn empty(revocations_to: u64) -> RoutingReply {
    RoutingReply {
        revocations: vec![],
        revocations_to,
        snapshot: None,
        batch: None,
        budgets: vec![],
        budgets_to: 0,
        gateways: 1,
    }
}

fn reply(status: u16, body: &impl serde::Serialize) -> Response<Full<Bytes>> {
    let body = if status == 200 { serde_json::to_vec(body).unwrap() } else { Vec::new() };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
