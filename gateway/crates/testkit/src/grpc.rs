//! The KServe V2 protocol over gRPC, and what can go wrong on HTTP/2.

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use towpath_dialect::kserve::{
    Answer, Body, Frame, Inference, Named, StreamError, only_answer, yes_or_no,
};

use crate::http::Request;
use crate::kserve;
use crate::log::{Ended, Seen};
use crate::script::{Fault, Script};
use crate::server::Shared;

/// `GOAWAY` with stream 0 as the last that was begun, and no error.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Whether a connection begins as HTTP/2 does. Takes nothing from it.
pub(crate) async fn speaks_http2(stream: &TcpStream) -> bool {
    let mut start = [0; 3];
    loop {
        match stream.peek(&mut start).await {
            Ok(3) => return &start == b"PRI",
            // One or two bytes: the next come with them or not at all.
            Ok(1 | 2) => tokio::task::yield_now().await,
            _ => return false,
        }
    }
}

/// Serve one connection.
pub(crate) async fn serve(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let stream = stream.into_std()?;
    let raw = stream.try_clone()?;
    let stream = TcpStream::from_std(stream)?;
    let mut connection = h2::server::handshake(stream).await.map_err(io::Error::other)?;
    let number = shared.log.connected();
    let mut calls = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            Some(after) = calls.join_next() => {
                match after.unwrap_or(After::Next) {
                    After::Next => {}
                    After::HangUp => connection.graceful_shutdown(),
                    After::Cut(unsaid) => {
                        drop(unsaid);
                        return Ok(());
                    }
                    After::GoAway(unsaid) => {
                        // Nothing else is being written: no call has got an answer yet.
                        io::Write::write_all(&mut &raw, &GOAWAY)?;
                        drop(unsaid);
                        return Ok(());
                    }
                }
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else { return Ok(()) };
        let shared = Arc::clone(shared);
        calls.spawn(
            async move { call(request, respond, number, &shared).await.unwrap_or(After::Next) },
        );
    }
}

/// What becomes of the connection after a call.
enum After {
    Next,
    HangUp,
    /// With the answer that is never given: dropping it would say something.
    Cut(SendResponse<Bytes>),
    GoAway(SendResponse<Bytes>),
}

async fn call(
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: u64,
    shared: &Shared,
) -> Result<After, h2::Error> {
    let (parts, mut stream) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        // Room for as much again.
        let _ = stream.flow_control().release_capacity(chunk.len());
        body.put(chunk);
    }
    let body = body.freeze();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let request = Request {
        method: parts.method.to_string(),
        target: parts.uri.path().to_owned(),
        headers: parts.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect(),
        body: body.to_vec(),
    };
    let Frame::Message(message) = Frame::read(&body) else {
        return refuse(&mut respond, 3, "no whole message").map(|()| After::Next);
    };
    let model = Named::read(&message).map(|named| named.name).unwrap_or_default();
    let document = document(&message);
    let seen = shared.log.add(Seen {
        number: 0,
        connection,
        id: request.header("x-request-id").map(str::to_owned),
        method: request.method.clone(),
        path: request.target.clone(),
        headers: request.headers.clone(),
        body: document.as_ref().map(Value::to_string).unwrap_or_default(),
        model: Some(model.clone()),
        input_tokens: document.as_ref().map_or(0, kserve::input_tokens),
        output_tokens: 0,
        status: None,
        waiting_at: None,
        ended: Ended::Running,
    });
    let script = shared.script_for(&request, &model).unwrap_or_default();
    if let Some(gate) = script.gates.get("headers") {
        shared.log.update(seen, |seen| seen.waiting_at = Some(gate.clone()));
        shared.log.released(gate).await;
        shared.log.update(seen, |seen| seen.waiting_at = None);
    }
    let (after, ended) = match script.fault {
        Some(Fault::Silence) => {
            // Until the client resets the stream, or its connection is gone.
            let _ = std::future::poll_fn(|context| respond.poll_reset(context)).await;
            (After::Next, Ended::ClientGone)
        }
        Some(Fault::Close) => (After::Cut(respond), Ended::Cut),
        Some(Fault::GoAway) => (After::GoAway(respond), Ended::Cut),
        Some(Fault::RefusedStream) => {
            respond.send_reset(Reason::REFUSED_STREAM);
            (After::Next, Ended::Cut)
        }
        Some(Fault::Reset) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            (After::Next, Ended::Cut)
        }
        Some(Fault::GrpcStatus { code }) => {
            refuse(&mut respond, code, "100 % scripted")?;
            (After::Next, Ended::Whole)
        }
        ref fault => {
            match answer(&request, document.as_ref(), &model, &script, shared) {
                Ok(message) if request.path().ends_with("/ModelStreamInfer") => {
                    send_stream(&mut respond, &message, &script, seen, shared).await?;
                }
                Ok(message) => send(&mut respond, message, fault.as_ref())?,
                Err((code, problem)) => refuse(&mut respond, code, &problem)?,
            }
            (if script.hang_up { After::HangUp } else { After::Next }, Ended::Whole)
        }
    };
    shared.log.end(seen, ended);
    Ok(after)
}

/// A `ModelInferRequest` as the JSON of REST; `None` if it is another message.
fn document(message: &Bytes) -> Option<Value> {
    let body = Inference::from_grpc(message.clone()).ok()?.for_rest().ok()?;
    let (text, raw) = body.bytes.split_at(body.json_size.unwrap_or(body.bytes.len()));
    let mut document = serde_json::from_slice(text).ok()?;
    kserve::unpack(&mut document, raw).ok()?;
    Some(document)
}

/// The framed message of a correct answer, or status and message.
fn answer(
    request: &Request,
    document: Option<&Value>,
    model: &str,
    script: &Script,
    shared: &Shared,
) -> Result<Bytes, (u16, String)> {
    if !shared.is_allowed(request) {
        return Err((16, "who are you?".to_owned()));
    }
    match request.path().rsplit('/').next().unwrap_or_default() {
        "ServerLive" | "ServerReady" | "ModelReady" => Ok(yes_or_no(true)),
        "ModelInfer" | "ModelStreamInfer" => {
            let document = document.ok_or_else(|| (3, "no inference".to_owned()))?;
            let wrong = |problem: String| (3, problem);
            let answer =
                kserve::infer(model, &shared.signature(model), document, script).map_err(wrong)?;
            let (bytes, json_size) = kserve::pack(answer, &json!({}));
            let answer = Answer::from_rest(&Body { bytes: bytes.into(), json_size });
            answer.and_then(|answer| answer.for_grpc()).map_err(|fault| wrong(fault.message))
        }
        other => Err((12, format!("there is no `{other}`"))),
    }
}

fn head() -> Response<()> {
    let mut response = Response::new(());
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/grpc"));
    response
}

/// A message and its status; with some faults less than that.
fn send(
    respond: &mut SendResponse<Bytes>,
    message: Bytes,
    fault: Option<&Fault>,
) -> Result<(), h2::Error> {
    let mut response = head();
    if let Some(Fault::Status { code, .. }) = fault {
        *response.status_mut() = StatusCode::from_u16(*code).unwrap_or_default();
        respond.send_response(response, true)?;
        return Ok(());
    }
    let mut stream = respond.send_response(response, false)?;
    match fault {
        Some(Fault::Cut { .. } | Fault::CutInChunk { .. }) => {
            stream.send_data(message.slice(..message.len() / 2), false)?;
            stream.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        // The end of the stream without a word of how it went.
        Some(Fault::NoFinish) => stream.send_data(message, true),
        _ => {
            stream.send_data(message, false)?;
            stream.send_trailers(status(0, ""))
        }
    }
}

/// As many answers as the script has tokens, one by default, and their status.
async fn send_stream(
    respond: &mut SendResponse<Bytes>,
    message: &Bytes,
    script: &Script,
    seen: u64,
    shared: &Shared,
) -> Result<(), h2::Error> {
    if script.tokens == Some(0) && script.fault.is_none() {
        // As real servers do: with nothing to say, the status stands in the head.
        return refuse(respond, 0, "");
    }
    let mut stream = respond.send_response(head(), false)?;
    let answer = only_answer(message).unwrap_or_default();
    let words = StreamError {
        text: "scripted words",
        message_id: "",
        code: "",
        request_id: "",
        retry_after_s: None,
    };
    let answers = script.tokens.unwrap_or(1);
    for number in 0..=answers {
        let point = format!("token:{number}");
        if let Some(gate) = script.gates.get(&point) {
            shared.log.update(seen, |seen| seen.waiting_at = Some(gate.clone()));
            shared.log.released(gate).await;
            shared.log.update(seen, |seen| seen.waiting_at = None);
        }
        match &script.fault {
            Some(Fault::ErrorEvent) => stream.send_data(words.framed(), false)?,
            Some(Fault::ErrorEventAfter { after }) if *after == number => {
                stream.send_data(words.framed(), false)?;
            }
            Some(Fault::Cut { after } | Fault::CutInChunk { after }) if *after == number => {
                stream.send_data(answer.slice(..answer.len() / 2), false)?;
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            _ if number == answers => break,
            _ => stream.send_data(answer.clone(), false)?,
        }
    }
    match &script.fault {
        Some(Fault::NoFinish) => stream.send_data(Bytes::new(), true),
        _ => stream.send_trailers(status(0, "")),
    }
}

/// A status alone, in the one block of headers.
fn refuse(respond: &mut SendResponse<Bytes>, code: u16, message: &str) -> Result<(), h2::Error> {
    let mut response = head();
    response.headers_mut().extend(status(code, message));
    respond.send_response(response, true).map(drop)
}

fn status(code: u16, message: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", code.into());
    let message = message.replace('%', "%25");
    if let Ok(message) = message.try_into() {
        headers.insert("grpc-message", message);
    }
    headers
}
