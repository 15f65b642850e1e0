//! What an answer shall look like and what shall go wrong with it, as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One answer's script. The default is a correct answer.
///
/// `gates` and `delays_ms` name points of the answer: `headers` (before the status line), `token:N`
/// (before output token N, from 0) and `end` (before what ends a stream or body). A gate holds the answer
/// until somebody releases it by name, so that a test need not sleep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    pub fault: Option<Fault>,
    /// Gate to wait at, by point.
    pub gates: BTreeMap<String, String>,
    /// Milliseconds to wait, by point.
    pub delays_ms: BTreeMap<String, u64>,
    /// Output tokens; absent: the request's `max_tokens`, at most 8.
    pub tokens: Option<u32>,
    /// The answer's text, one token per word; absent: `t0 t1 t2 …`.
    pub text: Option<String>,
    /// Whether usage is reported where the protocol says so.
    pub usage: UsageReport,
    pub cached_tokens: Option<u32>,
    pub reasoning_tokens: Option<u32>,
    /// Most bytes of a body per HTTP chunk; absent: one event per chunk.
    pub split_bytes: Option<usize>,
    /// Close the connection after the whole answer without having said so.
    pub hang_up: bool,
    /// Further response headers.
    pub headers: BTreeMap<String, String>,
}

/// How usage is reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageReport {
    /// In the body; on streams, when asked for with `include_usage`.
    #[default]
    Correct,
    /// Never, whoever asks.
    Missing,
    /// In the stream's last content chunk, asked or not, as some servers do.
    Unasked,
    /// Of sound, its length instead of its tokens.
    Seconds,
}

/// What goes wrong. `after` counts output tokens that are sent whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Take the request and never answer.
    Silence,
    /// Close without an answer.
    Close,
    /// Reset the connection without an answer.
    Reset,
    /// Send this much and then nothing more.
    Stall {
        after: u32,
    },
    /// Send this much and close, between two chunks.
    Cut {
        after: u32,
    },
    /// Send this much and close in the middle of the next chunk.
    CutInChunk {
        after: u32,
    },
    /// Send this much and reset the connection.
    ResetAfter {
        after: u32,
    },
    /// 200 with an error object for a body, as JSON whatever was asked for.
    ErrorBody,
    /// A stream whose first event is an error.
    ErrorEvent,
    /// An error event in mid-stream, then the end without `[DONE]`.
    ErrorEventAfter {
        after: u32,
    },
    /// An event that is not JSON.
    BadEvent {
        after: u32,
    },
    /// A stream whose first event is not JSON.
    BadFirstEvent,
    /// A plain body that is not JSON.
    BadBody,
    /// After this much, white space without end: blanks in a body, blank lines in a stream.
    Whitespace {
        after: u32,
    },
    /// The right body under another content type.
    ContentType {
        value: String,
    },
    /// A stream without `[DONE]`.
    NoDone,
    /// A stream that ends cleanly without any `finish_reason`.
    NoFinish,
    /// An error status.
    Status {
        code: u16,
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// 400, the input being longer than the context, as such servers word it.
    TooLong,
    Redirect {
        location: String,
    },
    /// The right body, compressed, though nobody accepted that.
    Gzip,
    /// A web page with status 200.
    Html,
    /// A stream was asked for, a plain body comes.
    NotAStream,
    /// HTTP/1.0, the body ended by closing.
    Http10,
    /// HTTP/2: go away, saying that nothing of the call was begun.
    GoAway,
    /// HTTP/2: reset the stream, saying the same.
    RefusedStream,
    /// gRPC: this status instead of an answer.
    GrpcStatus {
        code: u16,
    },
    /// A response header of this many bytes.
    HugeHeader {
        bytes: usize,
    },
}

impl Script {
    /// A correct answer but for this.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// The script that a model's name asks for: `fake-` and a fault, as listed by [`named`].
    #[must_use]
    pub fn of_model(model: &str) -> Option<Self> {
        named().into_iter().find(|(name, _)| *name == model).map(|(_, script)| script)
    }

    /// Refuse points that are not points.
    ///
    /// # Errors
    /// Names the first one.
    pub fn check(&self) -> Result<(), String> {
        let is_token = |point: &str| {
            point.strip_prefix("token:").is_some_and(|number| number.parse::<u32>().is_ok())
        };
        let wrong = self
            .gates
            .keys()
            .chain(self.delays_ms.keys())
            .find(|point| *point != "headers" && *point != "end" && !is_token(point));
        match wrong {
            Some(point) => Err(format!(
                "`{point}` is no point of an answer; there are `headers`, `token:N` and `end`"
            )),
            None => Ok(()),
        }
    }
}

/// Models that misbehave by name, for those who cannot send a header or script beforehand.
#[must_use]
pub fn named() -> Vec<(&'static str, Script)> {
    let fault = |name, fault| (name, Script::fault(fault));
    vec![
        fault("fake-silence", Fault::Silence),
        fault("fake-close", Fault::Close),
        fault("fake-reset", Fault::Reset),
        fault("fake-stall", Fault::Stall { after: 3 }),
        fault("fake-cut", Fault::Cut { after: 3 }),
        fault("fake-cut-in-chunk", Fault::CutInChunk { after: 3 }),
        fault("fake-reset-after", Fault::ResetAfter { after: 3 }),
        fault("fake-error-body", Fault::ErrorBody),
        fault("fake-error-event", Fault::ErrorEvent),
        fault("fake-error-event-after", Fault::ErrorEventAfter { after: 3 }),
        fault("fake-bad-event", Fault::BadEvent { after: 3 }),
        fault("fake-bad-first-event", Fault::BadFirstEvent),
        fault("fake-bad-body", Fault::BadBody),
        fault("fake-whitespace", Fault::Whitespace { after: 0 }),
        fault("fake-wrong-type", Fault::ContentType { value: "text/plain".to_owned() }),
        fault("fake-no-done", Fault::NoDone),
        fault("fake-no-finish", Fault::NoFinish),
        fault("fake-429", Fault::Status { code: 429, retry_after: None }),
        fault("fake-429-later", Fault::Status { code: 429, retry_after: Some("7".to_owned()) }),
        fault("fake-500", Fault::Status { code: 500, retry_after: None }),
        fault("fake-503", Fault::Status { code: 503, retry_after: None }),
        fault("fake-too-long", Fault::TooLong),
        fault("fake-redirect", Fault::Redirect { location: "http://127.0.0.1:9/".to_owned() }),
        fault("fake-gzip", Fault::Gzip),
        fault("fake-html", Fault::Html),
        fault("fake-not-a-stream", Fault::NotAStream),
        fault("fake-http10", Fault::Http10),
        fault("fake-huge-header", Fault::HugeHeader { bytes: 1 << 20 }),
        ("fake-no-usage", Script { usage: UsageReport::Missing, ..Script::default() }),
        ("fake-usage-unasked", Script { usage: UsageReport::Unasked, ..Script::default() }),
        ("fake-split", Script { split_bytes: Some(7), ..Script::default() }),
        ("fake-hang-up", Script { hang_up: true, ..Script::default() }),
    ]
}

#[cfg(test)]
mod tests;
