//! Answers to callers of the KServe protocol: as they came where both sides speak the same form of it, else
//! written anew.

use towpath_dialect::kserve::{Answer, Body, Inference, Skimmed};
use towpath_dialect::{UpstreamFault, Usage};
use towpath_wire::routing::Dialect;
use towpath_wire::usage::CallerDialect;

/// Bring an answer with a success status into the caller's form.
///
/// # Errors
/// It is no inference, or cannot be said in that form.
pub fn answer(
    asked: &Inference,
    caller: CallerDialect,
    target: Dialect,
    came: Body,
) -> Result<(Body, Usage), UpstreamFault> {
    let grpc = |bytes| Body { bytes, json_size: None };
    match (caller, target) {
        (CallerDialect::KserveGrpc, Dialect::KserveGrpc) => {
            let usage = Answer::skim_grpc(&came.bytes)?;
            Ok((came, usage))
        }
        (CallerDialect::KserveGrpc, _) => {
            let answer = Answer::from_rest(&came)?;
            Ok((grpc(answer.for_grpc()?), answer.usage()))
        }
        (_, Dialect::KserveGrpc) => {
            let answer = Answer::from_grpc(&came.bytes)?;
            Ok((answer.for_rest(asked)?, answer.usage()))
        }
        _ => {
            let usage = Skimmed::read(&came)?.usage;
            Ok((came, usage))
        }
    }
}
