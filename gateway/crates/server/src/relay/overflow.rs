//! Requests that are longer than a model's context, told before they are sent.

use towpath_dialect::FaultCode;

use crate::errors::{Code, Refusal};
use crate::live::ReadyTarget;
use crate::relay::{Asked, Job};

/// How far beyond the context an estimate must be, in times, before it is believed. Estimates come from the
/// mean of what the target has seen; no text of any language or code packs four times as much into a token as
/// the mean does. What is nearer is the upstream's to say, which counts exactly.
const MARGIN: u64 = 4;

/// The refusal of an input that cannot fit, whatever the tokenizer makes of it.
pub fn foreseen(job: &Job, ready: &ReadyTarget) -> Option<Refusal> {
    let context = u64::from(ready.target.spec.context_length?);
    let Asked::Model(request) = &job.asked else { return None };
    let estimate = ready.bytes_per_token.estimate_at_least(request.input_bytes());
    if estimate <= context.saturating_mul(MARGIN) {
        return None;
    }
    let name = &job.endpoint.spec.name;
    let detail = format!(
        "The input has some {estimate} tokens ({} bytes); `{name}` takes at most {context}.",
        request.input_bytes()
    );
    let code = Code::Fault(FaultCode::ContextLengthExceeded);
    let refusal = Refusal::new(code, detail).fix(format!(
        "Shorten the input to less than {context} tokens, answer included, or choose a model with a longer context."
    ));
    Some(refusal)
}
