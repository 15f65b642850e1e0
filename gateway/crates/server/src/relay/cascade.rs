//! Whether an answer of a tiered endpoint will do, or a stronger level is asked instead.

use std::sync::Arc;

use towpath_policy::Id;

use crate::account::Account;
use crate::live::ReadyTarget;
use crate::relay::failure::Failure;
use crate::relay::{Answered, Job, plain};
use crate::tier::{Choice, Given, MAX_HELD};

/// An answer after it was looked at.
pub enum Judged {
    Good(Answered),
    /// It was thrown away; what it used is booked.
    Escalate,
}

/// Look at an answer, where its level is checked. A stream is held back until it has ended or grown too
/// long to be: then it passes unchecked. `level` is the target that it counts for.
///
/// # Errors
/// The stream broke while it was held back.
pub async fn judge(
    account: &mut Account,
    job: &Job,
    ready: &Arc<ReadyTarget>,
    level: &Id,
    choice: &mut Choice,
    answered: Answered,
) -> Result<Judged, Failure> {
    if !choice.looks(&job.endpoint, level) {
        return Ok(Judged::Good(answered));
    }
    match answered {
        Answered::Estimated(_) => return Ok(Judged::Good(answered)),
        Answered::Plain(plain) => {
            if !choice.escalates(&job.endpoint, level, &Given::plain(plain.body())) {
                return Ok(Judged::Good(Answered::Plain(plain)));
            }
            let (usage, counted_by) = plain::metered(job, ready, &plain);
            account.throw_away(&usage, counted_by);
        }
        // They come one by one as they are made, and are not held back to be looked at.
        Answered::Inferences(_) => return Ok(Judged::Good(answered)),
        Answered::Stream(mut stream) => {
            let ended = stream.hold(account, MAX_HELD).await?;
            if !ended || !choice.escalates(&job.endpoint, level, &Given::stream(stream.held())) {
                return Ok(Judged::Good(Answered::Stream(stream)));
            }
            let (usage, counted_by) = stream.used();
            account.throw_away(&usage, counted_by);
            stream.thrown_away();
        }
    }
    account.decision = Some(format!("tier {}", choice.said));
    Ok(Judged::Escalate)
}
