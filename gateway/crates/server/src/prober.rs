//! Active probes: targets that name a question are asked it regularly, whether or not they have calls.
//! Nothing of it is on a request's path.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::task::spawn_local;
use tokio::time::Instant;
use towpath_upstream::{Address, Call, Expect, Payload, Pool, UpstreamError};
use towpath_wire::routing::{Probe, Timeouts};

use crate::fleet::ReplicaState;
use crate::shared::Shared;

/// How often it is looked whose turn it is; shorter intervals are probed this often.
const LOOK: Duration = Duration::from_millis(100);
/// Probes on their way at a time; further ones wait for the next look.
const MAX_ASKED: usize = 256;

/// One replica's probes.
struct Asked {
    due: Instant,
    /// The last one has no answer yet.
    busy: bool,
}

type Round = Rc<RefCell<HashMap<(Arc<str>, Arc<str>), Asked>>>;

/// Probe for ever. Runs on a `LocalSet`.
pub async fn run(shared: &Arc<Shared>, pool: Pool) {
    let round: Round = Rc::default();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        pool.sweep();
        look(shared, &pool, &round);
    }
}

fn look(shared: &Shared, pool: &Pool, round: &Round) {
    let live = shared.live.load_full();
    let now = Instant::now();
    let mut known = std::mem::take(&mut *round.borrow_mut());
    let mut next = HashMap::with_capacity(known.len());
    let mut asked = known.values().filter(|asked| asked.busy).count();
    for ready in live.targets() {
        let Some(probe) = &ready.target.spec.probe else { continue };
        for replica in &ready.replicas {
            let Some(address) = &replica.probe else { continue };
            let id = (Arc::clone(&ready.target.id), Arc::clone(&replica.id));
            let mut turn = known.remove(&id).unwrap_or(Asked { due: now, busy: false });
            if !turn.busy && now >= turn.due && asked < MAX_ASKED {
                asked += 1;
                turn = Asked {
                    due: now + Duration::from_millis(probe.interval_ms.into()),
                    busy: true,
                };
                let question = Question {
                    target: ready.target.spec.name.clone(),
                    id: id.clone(),
                    address: address.clone(),
                    headers: replica.headers.clone(),
                    probe: probe.clone(),
                    state: Arc::clone(&replica.state),
                };
                spawn_local(ask(pool.clone(), question, Rc::clone(round)));
            }
            next.insert(id, turn);
        }
    }
    *round.borrow_mut() = next;
}

/// What one probe needs to know.
struct Question {
    target: String,
    id: (Arc<str>, Arc<str>),
    address: Address,
    /// With the replica's credential: some servers show even their health to those alone who have one.
    headers: HeaderMap,
    probe: Probe,
    state: Arc<ReplicaState>,
}

async fn ask(pool: Pool, question: Question, round: Round) {
    let ms = question.probe.timeout_ms.max(1);
    let call = Call {
        method: Method::GET,
        path: &question.probe.path,
        headers: question.headers,
        body: Payload::Whole(bytes::Bytes::new()),
        expect: Expect::Answer,
        timeouts: Timeouts {
            connect_ms: ms,
            first_byte_ms: ms,
            silence_ms: ms,
            total_ms: ms,
            attempt_ms: 0,
        },
    };
    let failed = match pool.send(&question.address, call).await {
        Ok(reply) => {
            let status = reply.status;
            reply.body.drain().await;
            (!status.is_success()).then(|| format!("probe: status {status}"))
        }
        Err(error @ UpstreamError::Timeout { .. }) => Some(format!("probe: {error}")),
        Err(error) => Some(format!("probe: {}", error.code())),
    };
    let answer = failed.as_deref().map_or(Ok(()), Err);
    question.state.probed(&question.target, &question.id.1, answer);
    if let Some(asked) = round.borrow_mut().get_mut(&question.id) {
        asked.busy = false;
    }
}
