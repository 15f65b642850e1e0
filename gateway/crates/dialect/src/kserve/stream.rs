//! `ModelStreamInfer`: requests are those of `ModelInfer`; each answer is an inference or an error in words.

use bytes::{Bytes, BytesMut};

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::kserve::answer::nonsense;
use crate::kserve::grpc::{Frame, Trouble, framed, parameter, write_parameters};
use crate::kserve::parameters::{Parameters, Value};
use crate::kserve::{Answer, usage};
use crate::protobuf::{Fields, write_sized, write_text};

/// Says of an answer that it is the last one to its message, as Triton does.
const LAST: &str = "triton_final_response";

/// The id that a caller gave a framed `ModelInferRequest`; empty where it gave none, or it is no message.
pub fn message_id(body: &Bytes) -> String {
    let Frame::Message(message) = Frame::read(body) else { return String::new() };
    let mut fields = Fields::of(&message);
    let mut id = String::new();
    while let Ok(Some(member)) = fields.next() {
        if member.number == 3 {
            id = member.field.text().unwrap_or_default();
        }
    }
    id
}

/// An error as a framed `ModelStreamInferResponse`.
#[derive(Clone, Copy, Debug)]
pub struct StreamError<'a> {
    pub text: &'a str,
    /// The id that the caller gave its message.
    pub message_id: &'a str,
    pub code: &'a str,
    pub request_id: &'a str,
    pub retry_after_s: Option<u32>,
}

impl StreamError<'_> {
    /// Write it: what other answers say in headers stands among the parameters.
    pub fn framed(&self) -> Bytes {
        let mut answer = Vec::with_capacity(128);
        write_text(3, self.message_id, &mut answer);
        let mut parameters = Parameters::default();
        let words = [("towpath_code", self.code), ("towpath_request_id", self.request_id)];
        for (name, word) in words {
            parameters.put(name, Value::Text(word.to_owned()));
        }
        if let Some(seconds) = self.retry_after_s {
            parameters.put("towpath_retry_after_s", Value::Int(seconds.into()));
        }
        parameters.put(LAST, Value::Bool(true));
        write_parameters(4, &parameters, &mut answer);
        framed(self.text.len() + answer.len() + 16, |out| {
            write_text(1, self.text, out);
            write_sized(2, &answer, out);
        })
    }
}

/// A framed `ModelInferResponse` as the only answer to a message of a stream.
///
/// # Errors
/// It is no whole message.
pub fn only_answer(body: &Bytes) -> Result<Bytes, UpstreamFault> {
    let mut parameters = Parameters::default();
    parameters.put(LAST, Value::Bool(true));
    let mut more = Vec::new();
    write_parameters(4, &parameters, &mut more);
    one_answer(body, &more)
}

/// A framed `ModelInferResponse` as one of the answers to a message of a stream, with further fields.
fn one_answer(body: &Bytes, more: &[u8]) -> Result<Bytes, UpstreamFault> {
    let Frame::Message(message) = Frame::read(body) else { return Err(no_message()) };
    Ok(framed(message.len() + more.len() + 16, |out| {
        // Fields may come in any order and number: those behind are merged with those before.
        write_sized(2, &message, out);
        if !more.is_empty() {
            write_sized(2, more, out);
        }
    }))
}

impl Answer {
    /// Write a framed `ModelStreamInferResponse`.
    ///
    /// # Errors
    /// An output's elements are not what its type says.
    pub fn for_grpc_stream(&self) -> Result<Bytes, UpstreamFault> {
        one_answer(&self.for_grpc()?, &[])
    }
}

fn no_message() -> UpstreamFault {
    UpstreamFault::nonsense("the model's server sent no whole message", b"")
}

/// What some bytes of a server's answers became.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Whole answers, untouched.
    pub out: Bytes,
    /// What came behind them is no answer: nothing more is followed.
    pub fault: Option<UpstreamFault>,
}

/// Follows the answers of a server to one message of a stream.
#[derive(Debug)]
pub struct StreamFollower {
    /// Most bytes of one answer.
    most: usize,
    /// An answer that has not come whole.
    pending: BytesMut,
    answers: u64,
    usage: Option<Usage>,
}

impl StreamFollower {
    pub fn new(most: usize) -> Self {
        Self { most, pending: BytesMut::new(), answers: 0, usage: None }
    }

    /// Follow one more chunk of the server's body.
    pub fn feed(&mut self, chunk: Bytes) -> Passed {
        let work = if self.pending.is_empty() {
            chunk
        } else {
            self.pending.extend_from_slice(&chunk);
            match Frame::length(&self.pending) {
                Some(length) if length > self.most => return self.too_large(),
                Some(length) if length <= self.pending.len() => {
                    std::mem::take(&mut self.pending).freeze()
                }
                _ => return Passed { out: Bytes::new(), fault: None },
            }
        };
        let mut at = 0;
        loop {
            let rest = work.slice(at..);
            match Frame::length(&rest) {
                Some(length) if length > self.most => {
                    return Passed { out: work.slice(..at), ..self.too_large() };
                }
                Some(length) if length <= rest.len() => {
                    if let Err(fault) = self.follow(&rest.slice(..length)) {
                        return Passed { out: work.slice(..at), fault: Some(fault) };
                    }
                    at += length;
                }
                _ => {
                    self.pending.extend_from_slice(&rest);
                    return Passed { out: work.slice(..at), fault: None };
                }
            }
        }
    }

    fn too_large(&self) -> Passed {
        let message = format!("an answer of the model's server has more than {} bytes", self.most);
        Passed { out: Bytes::new(), fault: Some(UpstreamFault::nonsense(&message, b"")) }
    }

    /// Take in one framed `ModelStreamInferResponse`.
    fn follow(&mut self, body: &Bytes) -> Result<(), UpstreamFault> {
        let Frame::Message(message) = Frame::read(body) else { return Err(no_message()) };
        let (error, found) = read(&message).map_err(|trouble| nonsense(trouble.into()))?;
        if !error.is_empty() {
            return Err(UpstreamFault::in_stream(&error));
        }
        self.answers += 1;
        if found.input_tokens.is_some() || found.output_tokens.is_some() {
            let known = self.usage.unwrap_or_default();
            self.usage = Some(Usage {
                input_tokens: found.input_tokens.or(known.input_tokens),
                output_tokens: found.output_tokens.or(known.output_tokens),
                ..known
            });
        }
        Ok(())
    }

    /// An answer has come.
    pub fn started(&self) -> bool {
        self.answers > 0
    }

    /// Bytes of an answer that has not come whole.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Tokens as the last answer said that counts them.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

/// The error of a `ModelStreamInferResponse`, and what its inference used.
fn read(message: &Bytes) -> Result<(String, Usage), Trouble> {
    let (mut error, mut parameters) = (String::new(), Parameters::default());
    let mut fields = Fields::of(message);
    while let Some(member) = fields.next()? {
        match member.number {
            1 => error = member.field.text()?,
            2 => {
                let mut inner = Fields::of(member.field.sized()?);
                while let Some(member) = inner.next()? {
                    if member.number == 4 {
                        parameter(&member.field, "parameters", &mut parameters)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok((error, usage(&parameters)))
}

#[cfg(test)]
mod tests;
