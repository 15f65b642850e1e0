//! Answers to callers of the KServe protocol: as they came where both sides speak the same form of it, else
//! written anew.

use bytes::Bytes;
use towpath_dialect::kserve::{Answer, Body, Inference, Skimmed};
use towpath_dialect::{FaultCode, UpstreamFault, Usage};
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

/// A gRPC server's answer as JSON, for what reads V2 answers as such.
///
/// # Errors
/// It is no inference, or holds what JSON cannot say.
pub fn as_json(message: &Bytes) -> Result<Bytes, UpstreamFault> {
    Answer::from_grpc(message)?.for_json()
}

/// A gRPC answer that ended without saying how.
pub fn without_status() -> UpstreamFault {
    UpstreamFault {
        status: 502,
        code: FaultCode::UpstreamCut,
        message: "the model's server ended its answer without a status".to_owned(),
        param: None,
        retryable: true,
        log: String::new(),
    }
}
