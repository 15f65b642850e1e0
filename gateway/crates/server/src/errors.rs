//! Every error a caller may see: one code each, with its status and what to do about it.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use towpath_dialect::{ErrorBody, FaultCode, RequestCode, RequestError, UpstreamFault};

use crate::outgoing::Outgoing;
use crate::{grpc, names};

/// What went wrong, as a client may branch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    MissingApiKey,
    InvalidApiKey,
    KeyRevoked,
    KeyExpired,
    PermissionDenied,
    Blocked,
    DataClassNotAllowed,
    ModelNotFound,
    RouteNotFound,
    MethodNotAllowed,
    InvalidHeader,
    HeadersTooLarge,
    BodyTooLarge,
    BodyTimeout,
    BodyCut,
    UnsupportedEncoding,
    RateLimitExceeded,
    LargerThanLimit,
    InsufficientQuota,
    BudgetReserved,
    QueueFull,
    QueueTimeout,
    Overloaded,
    JournalFull,
    JournalNoSpace,
    JournalFailed,
    NotReady,
    ModelWaking,
    TableStale,
    UpstreamUnavailable,
    UpstreamTimeout,
    EgressDenied,
    ControlUnavailable,
    InternalError,
    /// The body was refused.
    Request(RequestCode),
    /// The upstream answered with something that is not an answer.
    Fault(FaultCode),
}

/// Shape of error bodies on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    OpenAi,
    Anthropic,
    Problem,
    /// KServe V2 over REST.
    KserveV2,
    /// KServe V2 over gRPC.
    KserveGrpc,
}

impl Shape {
    /// Name the request in the headers where this dialect's clients look for it.
    pub fn identify(self, headers: &mut HeaderMap, request_id: &str) {
        let Ok(id) = HeaderValue::from_str(request_id) else { return };
        if self == Self::Anthropic {
            headers.insert(names::ANTHROPIC_REQUEST_ID, id.clone());
        }
        headers.insert(names::REQUEST_ID, id);
    }
}

/// One request's refusal or failure.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: Code,
    pub status: u16,
    /// What is wrong with this request.
    pub detail: Cow<'static, str>,
    /// What to do, where the code's own advice is too general.
    pub fix: Option<Cow<'static, str>>,
    pub param: Option<Box<str>>,
    pub retry_after_s: Option<u32>,
    /// What else the caller's client library reads.
    pub headers: Option<Box<HeaderMap>>,
    /// For the log alone: may name hosts, never secrets.
    pub log: Option<Box<str>>,
}

impl Code {
    /// Codes of this crate; those of the dialects come on top.
    const OWN: &[Self] = &[
        Self::MissingApiKey,
        Self::InvalidApiKey,
        Self::KeyRevoked,
        Self::KeyExpired,
        Self::PermissionDenied,
        Self::Blocked,
        Self::DataClassNotAllowed,
        Self::ModelNotFound,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::InvalidHeader,
        Self::HeadersTooLarge,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::BodyCut,
        Self::UnsupportedEncoding,
        Self::RateLimitExceeded,
        Self::LargerThanLimit,
        Self::InsufficientQuota,
        Self::BudgetReserved,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::Overloaded,
        Self::JournalFull,
        Self::JournalNoSpace,
        Self::JournalFailed,
        Self::NotReady,
        Self::ModelWaking,
        Self::TableStale,
        Self::UpstreamUnavailable,
        Self::UpstreamTimeout,
        Self::EgressDenied,
        Self::ControlUnavailable,
        Self::InternalError,
    ];

    /// Every code, for the published list.
    pub fn all() -> impl Iterator<Item = Self> {
        let request = RequestCode::ALL.into_iter().map(Self::Request);
        let fault = FaultCode::ALL.into_iter().map(Self::Fault);
        Self::OWN.iter().copied().chain(request).chain(fault)
    }

    /// The code as it stands in bodies, records and documents.
    pub fn code(self) -> &'static str {
        match self {
            Self::MissingApiKey => "missing_api_key",
            Self::InvalidApiKey => "invalid_api_key",
            Self::KeyRevoked => "key_revoked",
            Self::KeyExpired => "key_expired",
            Self::PermissionDenied => "permission_denied",
            Self::Blocked => "blocked",
            Self::DataClassNotAllowed => "data_class_not_allowed",
            Self::ModelNotFound => "model_not_found",
            Self::RouteNotFound => "route_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::InvalidHeader => "invalid_header",
            Self::HeadersTooLarge => "headers_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyCut => "body_cut",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::RateLimitExceeded => "rate_limit_exceeded",
            Self::LargerThanLimit => "larger_than_limit",
            Self::InsufficientQuota => "insufficient_quota",
            Self::BudgetReserved => "budget_reserved",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Overloaded => "overloaded",
            Self::JournalFull => "journal_full",
            Self::JournalNoSpace => "journal_no_space",
            Self::JournalFailed => "journal_failed",
            Self::NotReady => "not_ready",
            Self::ModelWaking => "model_waking",
            Self::TableStale => "table_stale",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::EgressDenied => "egress_denied",
            Self::ControlUnavailable => "control_unavailable",
            Self::InternalError => "internal_error",
            Self::Request(code) => code.as_str(),
            Self::Fault(code) => code.as_str(),
        }
    }

    /// Status the code goes out with, unless the upstream's own fits better.
    pub fn status(self) -> u16 {
        match self {
            Self::MissingApiKey | Self::InvalidApiKey | Self::KeyRevoked | Self::KeyExpired => 401,
            Self::PermissionDenied | Self::Blocked | Self::DataClassNotAllowed => 403,
            Self::ModelNotFound | Self::RouteNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::BodyTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::UnsupportedEncoding => 415,
            Self::HeadersTooLarge => 431,
            Self::InvalidHeader | Self::BodyCut | Self::Request(_) => 400,
            Self::RateLimitExceeded
            | Self::LargerThanLimit
            | Self::InsufficientQuota
            | Self::BudgetReserved
            | Self::QueueFull => 429,
            Self::InternalError => 500,
            Self::QueueTimeout
            | Self::Overloaded
            | Self::JournalFull
            | Self::JournalNoSpace
            | Self::JournalFailed
            | Self::NotReady
            | Self::ModelWaking
            | Self::TableStale
            | Self::UpstreamUnavailable
            | Self::ControlUnavailable => 503,
            Self::EgressDenied => 502,
            Self::UpstreamTimeout => 504,
            Self::Fault(code) => code.status(),
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::MissingApiKey => "No API key",
            Self::InvalidApiKey => "Unknown API key",
            Self::KeyRevoked => "Revoked API key",
            Self::KeyExpired => "Expired API key",
            Self::PermissionDenied => "Not allowed for this key",
            Self::Blocked => "Blocked",
            Self::DataClassNotAllowed => "Data too sensitive for this call",
            Self::ModelNotFound => "Unknown model",
            Self::RouteNotFound => "Unknown path",
            Self::MethodNotAllowed => "Wrong method",
            Self::InvalidHeader => "Malformed request header",
            Self::HeadersTooLarge => "Too many or too large headers",
            Self::BodyTooLarge => "Body too large",
            Self::BodyTimeout => "Body arrived too slowly",
            Self::BodyCut => "Body ended early",
            Self::UnsupportedEncoding => "Unsupported content encoding",
            Self::RateLimitExceeded => "Limit reached",
            Self::LargerThanLimit => "Call larger than its limit",
            Self::InsufficientQuota => "Budget used up",
            Self::BudgetReserved => "Rest of the budget in use",
            Self::QueueFull => "No place left in the queue",
            Self::QueueTimeout => "No room in time",
            Self::Overloaded => "Gateway at its limit",
            Self::JournalFull => "Usage journal full",
            Self::JournalNoSpace => "No disk space for the usage journal",
            Self::JournalFailed => "Usage journal cannot be written",
            Self::NotReady => "Gateway not ready",
            Self::ModelWaking => "Model is being woken",
            Self::TableStale => "Rules too old for this data",
            Self::UpstreamUnavailable => "Model not reachable",
            Self::UpstreamTimeout => "Model took too long",
            Self::EgressDenied => "Address not allowed",
            Self::ControlUnavailable => "Control plane not reachable",
            Self::InternalError => "Error in the gateway",
            Self::Request(code) => code.title(),
            Self::Fault(code) => code.title(),
        }
    }

    /// What to do about it, in general.
    pub fn fix(self) -> &'static str {
        match self {
            Self::MissingApiKey => {
                "Send the key as `Authorization: Bearer tp_…` or as `x-api-key`; `towpath keys create` makes one."
            }
            Self::InvalidApiKey => {
                "Check that the key is complete and belongs to this platform; `towpath keys create` makes a new one."
            }
            Self::KeyRevoked | Self::KeyExpired => {
                "Create a new key with `towpath keys create` and replace this one."
            }
            Self::PermissionDenied => {
                "Use a key that may do this, or ask the owner of the key's project to widen it."
            }
            Self::DataClassNotAllowed => {
                "Lower `x-towpath-data-class` if the data allows it, or use a model that is cleared for it."
            }
            Self::ModelNotFound => "List the models this key may call with `towpath models`.",
            Self::RouteNotFound => {
                "Use a path under `/v1/` for models or under `/api/v1/` for the platform."
            }
            Self::MethodNotAllowed => "Use the method that the message names.",
            Self::InvalidHeader => "Correct the header that the message names.",
            Self::HeadersTooLarge => "Send fewer or shorter headers.",
            Self::BodyTooLarge => "Send less at once, or raise the gateway's `body_max_bytes`.",
            Self::BodyTimeout => "Send the body without pauses; check the connection.",
            Self::BodyCut => "Send as many bytes as `Content-Length` announces.",
            Self::UnsupportedEncoding => "Send the body without `Content-Encoding`.",
            Self::RateLimitExceeded => {
                "Try again after the time in `Retry-After`; `towpath limits` shows the limit, and a team admin can raise it."
            }
            Self::LargerThanLimit => {
                "Ask for less at once, or have a team admin raise the limit: `towpath limits`."
            }
            Self::InsufficientQuota => {
                "Wait until the time in `x-towpath-retry-at`, or have a team admin raise the budget: `towpath budgets`."
            }
            Self::BudgetReserved => {
                "Try again after the time in `Retry-After`, or ask for a lower `max_tokens`."
            }
            Self::QueueFull => {
                "Try again after the time in `Retry-After`, or make fewer calls at a time."
            }
            Self::QueueTimeout => {
                "Try again after the time in `Retry-After`; more replicas, or a higher `max_concurrency`, make more room."
            }
            Self::Overloaded => "Try again after the time in `Retry-After`.",
            Self::JournalFull => {
                "Start the control plane so that records are shipped, or raise `journal_max_bytes`."
            }
            Self::JournalNoSpace => "Free space on the disk of the gateway's data folder.",
            Self::JournalFailed => "Check the disk of the gateway's data folder and restart it.",
            Self::Blocked => {
                "Trying again does not help: ask the platform team, who see it under `towpath blocks`."
            }
            Self::TableStale => {
                "Start the control plane or mend the link to it; data of a lower class is still served."
            }
            Self::NotReady => "Try again shortly; `/readyz` says what is missing.",
            Self::ModelWaking => {
                "Try again after the time in `Retry-After`; one replica that stays up (`scaling.minReplicas: 1`) avoids the wait."
            }
            Self::UpstreamUnavailable => {
                "Try again shortly; `towpath deployments` and `towpath logs` say why the model is down."
            }
            Self::UpstreamTimeout => {
                "Ask for less at once or use a stream; the endpoint's timeouts can be raised."
            }
            Self::EgressDenied => {
                "Give the model's server an address outside, or ask the platform team to list its network in `TOWPATH_EGRESS_ALLOW`."
            }
            Self::ControlUnavailable => {
                "Try again shortly; calls to models work meanwhile. `towpath doctor` says what is wrong."
            }
            Self::InternalError => "Report the request id to the platform team.",
            Self::Request(code) => code.fix(),
            Self::Fault(code) => code.fix(),
        }
    }
}

impl Refusal {
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = code.status();
        let retry_after_s = (status == 503).then_some(1);
        Self {
            code,
            status,
            detail: detail.into(),
            fix: None,
            param: None,
            retry_after_s,
            headers: None,
            log: None,
        }
    }

    #[must_use]
    pub fn fix(mut self, fix: impl Into<Cow<'static, str>>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into().into());
        self
    }

    /// Tell client libraries not to try again by themselves.
    #[must_use]
    pub fn never_retry(mut self) -> Self {
        self.retry_after_s = None;
        self.headers().insert("x-should-retry", HeaderValue::from_static("false"));
        self
    }

    /// Further headers of the answer.
    pub fn headers(&mut self) -> &mut HeaderMap {
        self.headers.get_or_insert_default()
    }

    #[must_use]
    pub fn log(mut self, log: impl Into<String>) -> Self {
        self.log = Some(log.into().into());
        self
    }

    pub fn unknown_route(path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self::new(Code::RouteNotFound, format!("There is nothing at `{}`.", shown.escape_debug()))
    }

    /// The refusal with the status that a dialect has for it: where Anthropic's clients wait and try
    /// again they expect 529.
    #[must_use]
    pub fn in_shape(mut self, shape: Shape) -> Self {
        if shape == Shape::Anthropic && self.status == 503 {
            self.status = 529;
        }
        self
    }

    pub fn body<'b>(&'b self, request_id: &'b str) -> ErrorBody<'b> {
        ErrorBody {
            status: self.status,
            code: self.code.code(),
            title: self.code.title(),
            detail: &self.detail,
            fix: Some(self.fix.as_deref().unwrap_or(self.code.fix())),
            param: self.param.as_deref(),
            request_id: Some(request_id),
            retry_after_s: self.retry_after_s,
        }
    }

    /// The whole answer, in the caller's dialect.
    pub fn respond(&self, shape: Shape, request_id: &str) -> Response<Outgoing> {
        let body = self.body(request_id);
        if shape == Shape::KserveGrpc {
            let mut response = grpc::refused(self, &body.text());
            shape.identify(response.headers_mut(), request_id);
            return response;
        }
        let (bytes, kind) = match shape {
            Shape::OpenAi => (body.openai(), "application/json"),
            Shape::Anthropic => (body.anthropic(), "application/json"),
            Shape::Problem => (body.problem(), "application/problem+json"),
            Shape::KserveV2 | Shape::KserveGrpc => (body.kserve(), "application/json"),
        };
        let mut response = Response::new(Outgoing::whole(bytes));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        shape.identify(headers, request_id);
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in self.headers.iter().flat_map(|headers| headers.iter()) {
            headers.insert(name, value.clone());
        }
        if self.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self {
            code: Code::Request(error.code),
            status: 400,
            detail: error.message.into(),
            fix: error.fix.map(Cow::from),
            param: error.param.map(String::into_boxed_str),
            retry_after_s: None,
            headers: None,
            log: None,
        }
    }
}

impl From<UpstreamFault> for Refusal {
    fn from(fault: UpstreamFault) -> Self {
        let mut refusal = Self::new(Code::Fault(fault.code), fault.message).log(fault.log);
        refusal.status = fault.status;
        refusal.param = fault.param.map(String::into_boxed_str);
        if matches!(fault.status, 429 | 503) {
            refusal.retry_after_s = Some(1);
        }
        refusal
    }
}

/// The list of codes as JSON, for the published page.
pub fn list() -> serde_json::Value {
    let entry = |code: Code| {
        serde_json::json!({
            "code": code.code(),
            "status": code.status(),
            "title": code.title(),
            "fix": code.fix(),
        })
    };
    Code::all().map(entry).collect()
}

#[cfg(test)]
mod tests;
