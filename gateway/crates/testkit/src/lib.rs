//! A scripted upstream: a server of OpenAI's and Anthropic's dialects and of KServe V2, REST and gRPC on one
//! port, that answers correctly until it is told how not to.
//!
//! A script comes with a request (header `x-fake-script`, as JSON), is set for a model beforehand
//! ([`FakeUpstream::script`], `POST /__script`), or is asked for by a model's name (`fake-cut`,
//! `fake-429`, …; `GET /v1/models` lists them). Nothing is timed unless a script says so: a pause ends
//! when its gate is released, a wait when what it waits for has happened.
//!
//! | control route | |
//! |---|---|
//! | `POST /__script` | `{"model", "script", "times"?}` |
//! | `POST /__signature` | `{"model", "signature"}` of a KServe model |
//! | `POST /__release/{gate}` | open a gate |
//! | `GET /__requests?model=` | what was asked and what was produced |
//! | `DELETE /__requests` | forget what has ended |
//! | `GET /__wait?requests=&ended=&client_gone=&gate=` | answers when all of it is so, or after 20 s |

mod anthropic;
mod control;
mod grpc;
mod http;
mod kserve;
mod log;
mod media;
mod openai;
mod plan;
mod script;
mod server;

pub use log::{Counts, Ended, Seen};
pub use script::{Fault, Script, UsageReport, named};
pub use server::FakeUpstream;
