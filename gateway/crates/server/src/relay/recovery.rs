//! Streams that break after their first event, where the endpoint says `stream_recovery: continue`: another
//! target is asked to go on from the text that has left.
//!
//! What each target used stays in the books, and what the rest may use is reserved before it is asked for.
//! Who goes on is told in a comment of the stream, since its head has left.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use towpath_dialect::{Follower, Usage};
use towpath_policy::Id;
use towpath_wire::routing::StreamRecovery;
use towpath_wire::usage::CountedBy;

use crate::account::Account;
use crate::clock;
use crate::live::ReadyTarget;
use crate::log::{self, Level};
use crate::relay::failure::{Failure, Next};
use crate::relay::stream::Started;
use crate::relay::{Answered, Asked, Job, answered, most_attempts};
use crate::route::{Route, Step};

/// What is needed to have a stream gone on with.
pub struct Recovery {
    /// What was asked in the beginning.
    job: Job,
    /// Replicas that were asked, by target and replica.
    tried: Vec<(Id, Id)>,
    /// Places of the targets of a tiered endpoint, in the order in which they are asked.
    order: Vec<usize>,
    /// What the parts of the answer used that are over.
    used: Usage,
}

/// Whether a stream of this call is gone on with when it breaks, as far as that shows beforehand.
pub fn allowed(job: &Job) -> bool {
    job.endpoint.spec.stream_recovery == StreamRecovery::Continue
        && matches!(&job.asked, Asked::Model(request) if request.may_go_on())
}

impl Recovery {
    /// For a stream that is about to leave, if it may be gone on with.
    pub fn of(job: &Job, route: &Route<'_>, order: Vec<usize>) -> Option<Box<Self>> {
        allowed(job).then(|| {
            let tried = route.tried().to_vec();
            Box::new(Self { job: job.again(), tried, order, used: Usage::default() })
        })
    }

    /// Have a stream gone on with that broke off after it used so much; with it comes what its caller is
    /// told. `None`: nobody goes on; the books have what was used all the same.
    pub async fn go_on(
        &mut self,
        account: &mut Account,
        follower: &Follower,
        (used, counted_by): (Usage, CountedBy),
        failure: &Failure,
    ) -> Option<(Started, Bytes)> {
        if failure.next == Next::Stop || account.progress.attempts >= most_attempts(&self.job) {
            return None;
        }
        let all = self.used.and(used);
        let begun = follower.begun(all)?;
        let Asked::Model(request) = &self.job.asked else { return None };
        let mut rest = request.going_on(begun.said(), all.output_tokens.unwrap_or(0))?;
        // Streams are long: what was blocked, moved or changed meanwhile is as it is now.
        account.exchange.live = account.exchange.worker.shared.live.load_full();
        account.exchange.live.endpoint(&self.job.endpoint.id)?;
        let endpoint = Arc::clone(&self.job.endpoint);
        let tried = std::mem::take(&mut self.tried);
        let mut route = Route::onward(&endpoint, &account.exchange, rest.prompt(), tried);
        route.in_order(&self.order);
        let step = route.next(Some(failure.next));
        if matches!(step, Step::Over) {
            return None;
        }
        if let Some(most) = account.hold_more(&endpoint, &rest).ok()? {
            rest = rest.with_max_output_tokens(most).ok()?;
        }
        self.used = all;
        account.exchange.trace.attempt_ended(Some(failure.refusal.code.code()));
        account.throw_away(&used, counted_by);
        account.permit = None;
        account.place = None;
        let former = account.asked().unwrap_or_default().to_owned();
        let before = account.decision.take().map(|decision| format!("{decision}; "));
        account.decision = Some(format!("{}continues {former}", before.unwrap_or_default()));
        let job = Job { asked: Asked::Model(rest), begun: Some(begun), ..self.job.again() };
        let found = answered(account, &job, &mut route, &mut None, step).await;
        self.tried = route.tried().to_vec();
        match found {
            Ok((ready, Answered::Stream(started))) => {
                note(account, &former, &ready);
                Some((*started, told(account, &ready)))
            }
            Ok(_) | Err(_) => None,
        }
    }
}

/// What the head would have said, as a comment.
fn told(account: &Account, ready: &ReadyTarget) -> Bytes {
    let mut comment = String::new();
    for (name, value) in &ready.shown {
        // Writing into memory cannot fail.
        let _ = writeln!(comment, ": {name}: {}", value.to_str().unwrap_or_default());
    }
    let _ = writeln!(comment, ": x-towpath-attempts: {}\n", account.progress.attempts);
    comment.into()
}

fn note(account: &Account, former: &str, ready: &ReadyTarget) {
    if account.exchange.worker.shared.throttle.lets_through(clock::now_ms()) {
        log::event(
            Level::Info,
            "stream.continued",
            &[
                ("request_id", &account.exchange.id),
                ("target", &ready.target.spec.name),
                ("former", &former),
                ("attempt", &account.progress.attempts),
            ],
        );
    }
}
