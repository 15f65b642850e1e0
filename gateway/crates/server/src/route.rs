//! Fourth step, `route`: which target, and which of its replicas, is tried next.
//!
//! The order is the policy's (`towpath_policy::Candidates`); what is added here is how targets and replicas
//! stand at this moment, what the call has met so far, and what the endpoint may still spend on retries.

mod wake;

use std::rc::Rc;
use std::sync::Arc;

use towpath_policy::{
    Candidates, Condition, Course, Endpoint, Id, Load, Marks, Seat, Target, pick, sticky_key,
};
use towpath_wire::routing::{Operation, Spread, Sticky};

use crate::clock;
use crate::exchange::Exchange;
use crate::live::{EndpointState, Live, ReadyReplica, ReadyTarget};
use crate::relay::Next;
use crate::shared::Worker;

pub use wake::wait;

/// Replicas of one target that are tried when connections fail: enough to get past a server that just
/// died, few enough that a dead target leaves time for the fallback chain.
const MAX_UNREACHED: u32 = 3;
/// And when they answer badly: what two of them fail on, the third would too.
const MAX_FAILED: u32 = 2;

/// The way of one call through targets and replicas.
pub struct Route<'r> {
    worker: Rc<Worker>,
    live: Arc<Live>,
    endpoint: &'r Endpoint,
    load: Option<Arc<EndpointState>>,
    operation: Operation,
    candidates: Candidates<'r>,
    marks: Option<Marks>,
    /// Who is asked now.
    current: Option<Current>,
    /// The target that the one asked now is the candidate of: it is asked next.
    stable: Option<Current>,
    /// Replicas that were tried, by target and replica.
    tried: Vec<(Id, Id)>,
    repeated: bool,
    /// Only who can go on with an answer that broke off.
    goes_on: bool,
}

/// The target whose replicas are being tried.
struct Current {
    ready: Arc<ReadyTarget>,
    attempts: u32,
    /// All its replicas are ejected, and it is asked all the same.
    forced: bool,
}

/// What to do next.
pub enum Step {
    /// Send the call there.
    Call { ready: Arc<ReadyTarget>, index: usize },
    /// The same once more, after a pause: nothing else is left, and it was not reached.
    Repeat { ready: Arc<ReadyTarget>, index: usize },
    /// Wait until this target is awake.
    Wake(Arc<ReadyTarget>),
    /// Nothing is left.
    Over,
}

impl<'r> Route<'r> {
    /// All that may answer this exchange; `version` restricts to one version of a registry model, `prompt`
    /// is what the model will read, from its beginning.
    pub fn new(
        endpoint: &'r Endpoint,
        exchange: &Exchange,
        version: Option<u32>,
        prompt: &[u8],
    ) -> Self {
        let route = Self::of(endpoint, exchange, version, prompt);
        if let Some(load) = &route.load {
            load.call(endpoint.spec.retries);
        }
        route
    }

    /// The way on of a call whose answer broke off after these replicas were asked: to those that can go on
    /// with it, first of all another replica of the same target.
    pub fn onward(
        endpoint: &'r Endpoint,
        exchange: &Exchange,
        prompt: &[u8],
        tried: Vec<(Id, Id)>,
    ) -> Self {
        let mut route = Self::of(endpoint, exchange, None, prompt);
        let last = tried.last().and_then(|(target, _)| route.live.target(target));
        let last = last.filter(|ready| ready.quirks.go_on()).cloned();
        route.current = last.map(|ready| Current { ready, attempts: 1, forced: false });
        Self { tried, goes_on: true, ..route }
    }

    /// Replicas that were asked, by target and replica.
    pub fn tried(&self) -> &[(Id, Id)] {
        &self.tried
    }

    fn of(
        endpoint: &'r Endpoint,
        exchange: &Exchange,
        version: Option<u32>,
        prompt: &[u8],
    ) -> Self {
        let live = Arc::clone(&exchange.live);
        let key = exchange.key.as_ref();
        let user = || exchange.user.as_deref();
        let key_id = || key.map(|key| &*key.id);
        let subject = match endpoint.spec.balance.sticky {
            None => None,
            Some(Sticky::Key) => key_id(),
            Some(Sticky::User) => user().or_else(key_id),
        };
        let sticky = subject.map(|subject| sticky_key(&endpoint.id, subject));
        let load = live.endpoint(&endpoint.id).map(|ready| Arc::clone(&ready.state));
        let candidates = Candidates::new(endpoint, exchange.operation, exchange.data_class);
        let mut route = Self {
            worker: Rc::clone(&exchange.worker),
            live,
            endpoint,
            load,
            operation: exchange.operation,
            candidates: candidates.of_version(version).sticky(sticky),
            marks: None,
            current: None,
            stable: None,
            tried: Vec::new(),
            repeated: false,
            goes_on: false,
        };
        if route.several() {
            // Caches are not shared between projects (engines salt them), so nor are beginnings.
            let seed = sticky_key("", key.map_or("", |key| &key.project));
            route.marks = Some(Marks::of(prompt, seed)).filter(|marks| !marks.is_empty());
        }
        route
    }

    /// Whether any target chooses among replicas by prefix.
    fn several(&self) -> bool {
        self.endpoint.reached().any(|target| {
            let ready = self.live.target(&target.id);
            ready.is_some_and(|ready| ready.replicas.len() > 1)
                && self.spread(target) == Spread::Prefix
        })
    }

    fn spread(&self, target: &Target) -> Spread {
        let generates = matches!(self.operation, Operation::Chat | Operation::Completions);
        let lists = |operation| target.spec.operations.contains(&operation);
        self.endpoint.spec.balance.replicas.unwrap_or(
            if generates && (lists(Operation::Chat) || lists(Operation::Completions)) {
                Spread::Prefix
            } else {
                Spread::LeastOutstanding
            },
        )
    }

    /// Ask the targets at these places first, one after the other: the levels of a tiered endpoint.
    pub fn in_order(&mut self, places: &[usize]) {
        self.candidates.in_order(places);
    }

    /// The next step, given how the last attempt failed. Chance is drawn anew for each.
    pub fn next(&mut self, failed: Option<Next>) -> Step {
        if let Some(stable) = self.stable.take() {
            self.current = Some(stable);
            if let Some(step) = self.replica() {
                return step;
            }
        }
        if let Some(step) = failed.and_then(|failed| self.sibling(failed)) {
            return step;
        }
        loop {
            let (live, endpoint) = (&self.live, self.endpoint);
            let goes_on = self.goes_on;
            let stands = |target: &Arc<Target>| condition(live, endpoint, target, goes_on);
            let Some(chosen) = self.candidates.next(stands, self.worker.random()) else {
                return self.again(failed).unwrap_or(Step::Over);
            };
            if let Some(missed) = chosen.missed.and_then(|missed| self.live.target(&missed.id)) {
                wake::want(&self.worker.shared, missed);
            }
            let Some(ready) = self.live.target(&chosen.target.id).cloned() else { continue };
            if chosen.course == Course::Wake {
                return Step::Wake(ready);
            }
            let forced = chosen.course == Course::CallEjected;
            let candidate = self.candidate(chosen.target);
            self.current = Some(Current { ready, attempts: 0, forced });
            if let Some(ready) = candidate {
                let first = Current { ready, attempts: 0, forced: false };
                self.stable = self.current.replace(first);
                if let Some(step) = self.replica() {
                    return step;
                }
                // All of it were ejected just now.
                self.current = self.stable.take();
            }
            if let Some(step) = self.replica() {
                return step;
            }
        }
    }

    /// The candidate of a target, where this call goes there first.
    fn candidate(&self, target: &'r Target) -> Option<Arc<ReadyTarget>> {
        let candidate = self.candidates.split(target, self.worker.random())?;
        let stands = condition(&self.live, self.endpoint, candidate, self.goes_on);
        let fresh = !self.tried.iter().any(|(tried, _)| *tried == candidate.id);
        let may = fresh && matches!(stands, Condition::Ready(_));
        self.live.target(&candidate.id).filter(|_| may).cloned()
    }

    /// Whether whom is asked now is a candidate, and its stable target is still left.
    pub fn has_stable(&self) -> bool {
        self.stable.is_some()
    }

    /// The target that an answer counts for: a candidate's is its stable one's.
    pub fn level(&self) -> Id {
        let current = self.stable.as_ref().or(self.current.as_ref());
        current.map_or_else(|| Id::from(""), |current| Id::clone(&current.ready.target.id))
    }

    /// The answer will not do, and a stronger target is asked.
    pub fn stronger(&mut self) -> Step {
        self.stable = None;
        self.next(None)
    }

    /// A target is awake: the table has changed, and it is asked first.
    pub fn awake(&mut self, live: &Arc<Live>, id: &Id) -> Step {
        self.live = Arc::clone(live);
        if let Some(ready) = self.live.target(id).cloned() {
            self.current = Some(Current { ready, attempts: 0, forced: true });
        }
        self.replica().unwrap_or_else(|| self.next(None))
    }

    /// The call has room at the current target after a wait: its replicas are chosen among anew, as they are
    /// now.
    pub fn anew(&mut self, live: &Arc<Live>) -> Step {
        self.live = Arc::clone(live);
        self.tried.pop();
        self.current = self.current.take().and_then(|former| {
            // None: it was taken away or blocked meanwhile.
            let ready = Arc::clone(self.live.target(&former.ready.target.id)?);
            Some(Current { ready, attempts: former.attempts.saturating_sub(1), ..former })
        });
        self.stable = self.stable.take().and_then(|former| {
            let ready = Arc::clone(self.live.target(&former.ready.target.id)?);
            Some(Current { ready, ..former })
        });
        self.replica().unwrap_or_else(|| self.next(None))
    }

    /// What the current target was asked is longer than its context: only longer ones may still do.
    pub fn overflowed(&mut self, context_length: Option<u32>) {
        // A candidate's says nothing of its stable target's.
        if self.stable.is_none() {
            self.candidates.longer_than(context_length.unwrap_or(0));
        }
    }

    /// Another replica of the target that just failed, if the failure is of a kind that it may not share and
    /// the endpoint may retry.
    fn sibling(&mut self, failed: Next) -> Option<Step> {
        let attempts = self.current.as_ref()?.attempts;
        let more = match failed {
            Next::Unreached => attempts < MAX_UNREACHED,
            Next::Replica => attempts < MAX_FAILED,
            Next::Target | Next::Longer | Next::Stop => false,
        };
        if !more || !self.has_sibling() || !self.may_retry() {
            return None;
        }
        self.replica()
    }

    fn has_sibling(&self) -> bool {
        let Some(current) = &self.current else { return false };
        let now_ms = clock::steady_ms();
        current.ready.replicas.iter().any(|replica| self.takes(current, replica, now_ms))
    }

    fn takes(&self, current: &Current, replica: &ReadyReplica, now_ms: i64) -> bool {
        let target = &current.ready.target.id;
        (current.forced || replica.state.available(now_ms))
            && !self.tried.iter().any(|(t, r)| t == target && *r == replica.id)
    }

    /// The replica that could not be reached once more, if that is what the call died of.
    fn again(&mut self, failed: Option<Next>) -> Option<Step> {
        if failed != Some(Next::Unreached) || self.repeated || !self.may_retry() {
            return None;
        }
        self.repeated = true;
        let (_, last) = self.tried.last()?;
        let ready = Arc::clone(&self.current.as_ref()?.ready);
        let index = ready.replicas.iter().position(|replica| replica.id == *last)?;
        Some(Step::Repeat { ready, index })
    }

    fn may_retry(&self) -> bool {
        self.load.as_ref().is_some_and(|load| load.retry(self.endpoint.spec.retries))
    }

    /// One of the current target's replicas that was not tried.
    fn replica(&mut self) -> Option<Step> {
        let current = self.current.as_ref()?;
        let ready = Arc::clone(&current.ready);
        let spread = self.spread(&ready.target);
        let random = self.worker.random();
        let now_ms = clock::steady_ms();
        // A replica has no more than it takes while another one has room.
        let most = ready.target.spec.max_concurrency.unwrap_or(u32::MAX);
        let has_room = |replica: &ReadyReplica| replica.state.in_flight() < most;
        let any_room = ready
            .replicas
            .iter()
            .any(|replica| has_room(replica) && self.takes(current, replica, now_ms));
        let loads = || {
            ready.replicas.iter().map(|replica| {
                let load = replica.state.load(spread == Spread::PeakEwma);
                let takes = self.takes(current, replica, now_ms);
                let weight = u32::from(takes && (has_room(replica) || !any_room));
                Seat { tag: replica.tag, load: Load { weight, ..load } }
            })
        };
        let index = match (ready.replicas.len(), spread, &self.marks) {
            (2.., Spread::Prefix, Some(marks)) => {
                ready.state.prefixes().pick(marks, loads(), random)
            }
            _ => pick(spread, loads().map(|seat| seat.load), random),
        }?;
        let replica = Id::clone(&ready.replicas.get(index)?.id);
        self.tried.push((Id::clone(&ready.target.id), replica));
        if let Some(current) = &mut self.current {
            current.attempts += 1;
        }
        Some(Step::Call { ready, index })
    }
}

/// How a target stands at this moment; who cannot go on with an answer is as good as down where that is asked.
fn condition(live: &Live, endpoint: &Endpoint, target: &Target, goes_on: bool) -> Condition {
    let Some(ready) = live.target(&target.id) else { return Condition::Down };
    if goes_on && !ready.quirks.go_on() {
        return Condition::Down;
    }
    if ready.replicas.is_empty() {
        return if ready.asleep() { Condition::Asleep } else { Condition::Down };
    }
    let now_ms = clock::steady_ms();
    let with_latency = endpoint.spec.balance.targets == Spread::PeakEwma;
    let mut sum: Option<Load> = None;
    for replica in ready.replicas.iter().filter(|replica| replica.state.available(now_ms)) {
        let load = replica.state.load(with_latency);
        sum = Some(sum.map_or(load, |sum| Load {
            weight: 1,
            in_flight: sum.in_flight.saturating_add(load.in_flight),
            latency_us: sum.latency_us.min(load.latency_us),
        }));
    }
    sum.map_or(Condition::Ejected, Condition::Ready)
}
