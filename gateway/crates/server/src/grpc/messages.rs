//! `ModelStreamInfer`: a stream of messages, each of which is a call of its own.
//!
//! Messages are served one after the other, in the order in which they come: the next is taken up when the
//! one before has its answers, and until then the caller is held by HTTP/2's own flow control. Each is
//! authenticated anew, admitted, routed and booked like a call of `ModelInfer`; a refusal is an answer with
//! an error in it, and the stream goes on.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::unfold;
use http::request::Parts;
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::admit::Lease;
use crate::errors::{Code, Refusal};
use crate::exchange::Exchange;
use crate::grpc::{CONTENT_TYPE, ending, ok};
use crate::intake::Messages;
use crate::outgoing::{Cut, Outgoing};
use crate::pipeline;
use crate::role::{self, Ending};
use crate::shared::Worker;

/// How long a stream is kept on which nothing is asked: as long as a connection that makes no calls.
const IDLE: Duration = Duration::from_secs(300);

/// One message of a stream.
pub struct Message {
    /// With its prefix; or why it could not be taken in.
    pub content: Result<(Bytes, Lease), Refusal>,
    /// The record's id, where it was told already.
    pub id: Option<String>,
    /// How long the caller still waits.
    pub patience: Option<Duration>,
}

/// A stream as far as it has come.
struct Talk {
    worker: Rc<Worker>,
    parts: Parts,
    peer: IpAddr,
    messages: Messages,
    /// When the caller stops waiting for all of it.
    until: Option<Instant>,
    /// The id in the head, which the first message's record takes.
    first: Option<String>,
    /// Answers to the current message.
    answers: Option<Outgoing>,
    /// Nothing more is taken in, and why.
    broken: Option<Refusal>,
}

/// Answer a stream that was let in; all that is asked in it comes later.
pub fn answer(
    exchange: &Exchange,
    parts: Parts,
    body: Incoming,
    peer: IpAddr,
) -> Response<Outgoing> {
    let talk = Talk {
        worker: Rc::clone(&exchange.worker),
        parts,
        peer,
        messages: Messages::of(body),
        until: exchange.patience.and_then(|patience| exchange.started.checked_add(patience)),
        first: Some(exchange.id.clone()),
        answers: None,
        broken: None,
    };
    let frames = unfold(Some(Box::new(talk)), step);
    let mut response = Response::new(Outgoing::frames(frames));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    exchange.shape().identify(headers, &exchange.id);
    response
}

type Step = Option<(Result<Frame<Bytes>, Cut>, Option<Box<Talk>>)>;

async fn step(talk: Option<Box<Talk>>) -> Step {
    let mut talk = talk?;
    loop {
        let Some(answers) = &mut talk.answers else {
            match talk.asked().await {
                Ok(true) => continue,
                Ok(false) => return Some((Ok(Frame::trailers(ok())), None)),
                Err(refusal) => {
                    let text = refusal.body("").text();
                    return Some((Ok(Frame::trailers(ending(&refusal, &text))), None));
                }
            }
        };
        match answers.frame().await {
            Some(Ok(frame)) if frame.is_data() => return Some((Ok(frame), Some(talk))),
            Some(Ok(_)) => {}
            Some(Err(cut)) => return Some((Err(cut), None)),
            None => talk.answers = None,
        }
    }
}

impl Talk {
    /// Take up the next message; false when the caller has no more.
    async fn asked(&mut self) -> Result<bool, Refusal> {
        if let Some(refusal) = self.broken.take() {
            return Err(refusal);
        }
        if !self.begun().await? {
            return Ok(false);
        }
        let shared = &self.worker.shared;
        let content = self.messages.next(&shared.limits, &shared.memory).await;
        self.broken = content.as_ref().err().cloned();
        let patience = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let message = Message { content, id: self.first.take(), patience };
        let answered = pipeline::message(&self.worker, &self.parts, self.peer, message).await;
        self.answers = Some(answered.into_body());
        Ok(true)
    }

    /// Wait for a message to begin.
    async fn begun(&mut self) -> Result<bool, Refusal> {
        let mut stop = self.worker.stop.clone();
        tokio::select! {
            biased;
            () = role::ending(&mut stop, Ending::Stop) => {
                Err(Refusal::new(Code::NotReady, "The gateway is stopping."))
            }
            begun = self.messages.begun() => begun,
            () = tokio::time::sleep(IDLE) => {
                let detail = format!("Nothing was asked for {} s.", IDLE.as_secs());
                Err(Refusal::new(Code::BodyTimeout, detail))
            }
        }
    }
}
