//! Errors, in the shapes that callers parse, and what upstreams' own errors become.

mod fault;

use bytes::Bytes;
use serde::Serialize;

pub use fault::{FaultCode, UpstreamFault};

/// Documentation page of an error code, as problem documents link it.
const PROBLEMS: &str = "https://towpath.dev/problems/";

/// An error as any dialect can show it.
#[derive(Clone, Copy, Debug)]
pub struct ErrorBody<'a> {
    pub status: u16,
    pub code: &'a str,
    /// Constant for the code; problem documents alone show it.
    pub title: &'a str,
    /// What is wrong with this request.
    pub detail: &'a str,
    pub fix: Option<&'a str>,
    /// Path of the offending field.
    pub param: Option<&'a str>,
    pub request_id: Option<&'a str>,
    /// For events: where there is an answer, it stands in a header.
    pub retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct OpenAi<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct Anthropic<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
    request_id: Option<&'a str>,
}

/// What the vendor has no name for stands beside: its clients keep the whole body.
#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'a str,
    message: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    pointer: String,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
}

impl ErrorBody<'_> {
    /// `{"error": {"message", "type", "param", "code", "fix", "request_id"}}`; the message ends with the
    /// fix, since it is all that most clients show.
    pub fn openai(&self) -> Bytes {
        self.openai_text(None).into()
    }

    /// `data: {"error": …}` and a blank line; never followed by `[DONE]`.
    pub fn sse_event(&self) -> Bytes {
        let body = self.openai_text(self.retry_after_s);
        let mut event = Vec::with_capacity(body.len() + 8);
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(&body);
        event.extend_from_slice(b"\n\n");
        event.into()
    }

    /// `{"type": "error", "error": {"type", "message", "code", "param", "fix"}, "request_id"}`
    pub fn anthropic(&self) -> Bytes {
        self.anthropic_text(None)
    }

    fn anthropic_text(&self, retry_after_s: Option<u32>) -> Bytes {
        let message = self.message();
        json(&Anthropic {
            r#type: "error",
            error: AnthropicError {
                r#type: anthropic_type(self.status),
                message: &message,
                code: self.code,
                param: self.param,
                fix: self.fix,
                retry_after_s,
            },
            request_id: self.request_id,
        })
        .into()
    }

    /// The event `error` of a stream of messages.
    pub fn anthropic_event(&self) -> Bytes {
        let body = self.anthropic_text(self.retry_after_s);
        let mut event = Vec::with_capacity(body.len() + 24);
        event.extend_from_slice(b"event: error\ndata: ");
        event.extend_from_slice(&body);
        event.extend_from_slice(b"\n\n");
        event.into()
    }

    /// `application/problem+json`
    pub fn problem(&self) -> Bytes {
        let page = format!("{PROBLEMS}{}", self.code);
        let problem = Problem {
            r#type: &page,
            title: self.title,
            status: self.status,
            detail: self.detail,
            code: self.code,
            fix: self.fix,
            request_id: self.request_id,
            errors: self
                .param
                .map(|p| Finding { pointer: pointer(p), detail: self.detail, fix: self.fix })
                .into_iter()
                .collect(),
        };
        json(&problem).into()
    }

    /// `{"error": "…"}`, as KServe V2 has it. The text is all there is, so it ends with the code.
    pub fn kserve(&self) -> Bytes {
        json(&serde_json::json!({ "error": self.text() })).into()
    }

    /// What is wrong, what to do, and the code, in one text.
    pub fn text(&self) -> String {
        format!("{} [{}]", self.message(), self.code)
    }

    fn openai_text(&self, retry_after_s: Option<u32>) -> Vec<u8> {
        let message = self.message();
        json(&OpenAi {
            error: OpenAiError {
                message: &message,
                r#type: openai_type(self.status, self.code),
                param: self.param,
                code: self.code,
                fix: self.fix,
                request_id: self.request_id,
                retry_after_s,
            },
        })
    }

    /// `type` as OpenAI's own API has it.
    pub(crate) fn openai_type(&self) -> &'static str {
        openai_type(self.status, self.code)
    }

    pub(crate) fn message(&self) -> String {
        let detail = self.detail.trim_end_matches('.');
        let mut message = String::with_capacity(detail.len() + 64);
        let mut characters = detail.chars();
        message.extend(characters.next().map(|c| c.to_ascii_uppercase()));
        message.push_str(characters.as_str());
        message.push('.');
        if let Some(fix) = self.fix {
            message.push(' ');
            message.push_str(fix);
        }
        message
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Strings and numbers alone: writing them cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

/// `type` as OpenAI's own API has it for a status.
fn openai_type(status: u16, code: &str) -> &'static str {
    match status {
        _ if code == "insufficient_quota" => "insufficient_quota",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// `type` as Anthropic's own API has it for a status.
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// `inputs[3].age` as a JSON pointer, `/inputs/3/age`.
fn pointer(path: &str) -> String {
    let mut pointer = String::with_capacity(path.len() + 1);
    for part in path.split(['.', '[']) {
        pointer.push('/');
        let part = part.trim_end_matches(']');
        pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
    }
    pointer
}

#[cfg(test)]
mod tests;
