//! Why a body is refused.

use crate::json::{self, Kind, Syntax};

/// Why a request body is refused: always the caller's to mend, always status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    pub code: RequestCode,
    /// What is wrong and where.
    pub message: String,
    /// Path of the field, as `messages[3].role`.
    pub param: Option<String>,
    /// What to do, where something better can be said than the code's own [`RequestCode::fix`].
    pub fix: Option<String>,
}

/// Codes of refused bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestCode {
    InvalidJson,
    InvalidForm,
    MissingField,
    InvalidField,
    UnsupportedField,
    UnsupportedOperation,
}

impl RequestCode {
    pub const ALL: [Self; 6] = [
        Self::InvalidJson,
        Self::InvalidForm,
        Self::MissingField,
        Self::InvalidField,
        Self::UnsupportedField,
        Self::UnsupportedOperation,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidForm => "invalid_form",
            Self::MissingField => "missing_field",
            Self::InvalidField => "invalid_field",
            Self::UnsupportedField => "unsupported_field",
            Self::UnsupportedOperation => "unsupported_operation",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidJson => "The body is not valid JSON",
            Self::InvalidForm => "The body is not a form that can be read",
            Self::MissingField => "A required field is missing",
            Self::InvalidField => "A field has a wrong type or value",
            Self::UnsupportedField => "The model does not take this field",
            Self::UnsupportedOperation => "The model cannot do this",
        }
    }

    pub fn fix(self) -> &'static str {
        match self {
            Self::InvalidJson => "Send one JSON object encoded as UTF-8.",
            Self::InvalidForm => {
                "Send `multipart/form-data` as the OpenAI clients or `curl -F` write it."
            }
            Self::MissingField => "Add the field.",
            Self::InvalidField => "Correct the field.",
            Self::UnsupportedField => "Remove the field.",
            Self::UnsupportedOperation => {
                "Choose a model that `GET /v1/models` lists for this operation."
            }
        }
    }
}

impl RequestError {
    pub(crate) fn new(code: RequestCode, message: String) -> Self {
        Self { code, message, param: None, fix: None }
    }

    pub(crate) fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(crate) fn invalid(param: impl Into<String>, message: String) -> Self {
        Self::new(RequestCode::InvalidField, message).about(param)
    }

    pub(crate) fn missing(param: &str, hint: &str) -> Self {
        Self::new(RequestCode::MissingField, format!("`{param}` is missing"))
            .about(param)
            .fix(format!("Add `{param}`: {hint}."))
    }

    pub(crate) fn wrong_type(param: &str, expected: &str, found: Kind) -> Self {
        Self::invalid(param, format!("`{param}` must be {expected}, not {}", found.name()))
    }

    pub(crate) fn twice(param: &str) -> Self {
        Self::invalid(param, format!("`{param}` appears twice"))
            .fix(format!("Send `{param}` once: which of the two counts would be a guess."))
    }

    pub(crate) fn syntax(body: &[u8], syntax: Syntax) -> Self {
        let (line, column) = json::place(body, syntax.at);
        let message = if body.is_empty() {
            "the body is empty".to_owned()
        } else {
            format!("the body is not valid JSON: {} at line {line}, column {column}", syntax.what)
        };
        Self::new(RequestCode::InvalidJson, message)
    }

    /// Refuse bytes that are not UTF-8.
    pub(crate) fn check_utf8(body: &[u8]) -> Result<(), Self> {
        let Err(error) = std::str::from_utf8(body) else { return Ok(()) };
        let at = error.valid_up_to();
        let (line, column) = json::place(body, at);
        let byte = body.get(at).copied().unwrap_or_default();
        Err(Self::new(
            RequestCode::InvalidJson,
            format!("the body is not UTF-8: byte 0x{byte:02x} at line {line}, column {column}"),
        ))
    }
}
