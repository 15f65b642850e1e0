//! OpenAI's transcriptions: a form with a file of sound, and its text as JSON, as plain text or as a stream.
//!
//! The form is kept as the bytes that came; for a target that has another name for the model those bytes
//! are sent with one short piece replaced, and the file is never copied.

mod answer;
mod stream;

use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_wire::routing::FieldRule;

use crate::multipart::{self, Form, Part};
use crate::request::{self, RequestError};

pub(crate) use answer::metered;
pub(crate) use stream::TranscriptMeter;

/// Fields of which there may be one: which of two counts would be a guess.
const SINGLE: [&str; 8] = [
    "file",
    "model",
    "stream",
    "response_format",
    "prompt",
    "language",
    "temperature",
    "chunking_strategy",
];
/// Fields that every server of this kind takes.
const ALWAYS: [&str; 4] = ["file", "model", "stream", "response_format"];

/// How the text is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// One of the JSON shapes.
    #[default]
    Json,
    /// Text as it is, or subtitles.
    Text,
}

/// A request body of `/v1/audio/transcriptions`.
#[derive(Clone, Debug)]
pub struct TranscriptionRequest {
    body: Bytes,
    boundary: String,
    form: Form,
    model: String,
    stream: bool,
    format: Format,
    sound_bytes: u64,
}

/// The body for one target.
pub(crate) struct Rewritten {
    pub content_type: String,
    pub body: Bytes,
    /// What follows `body`, piece by piece.
    pub rest: Vec<Bytes>,
}

impl TranscriptionRequest {
    /// Read a form.
    ///
    /// # Errors
    /// The body is no form, or a field that the gateway reads is missing, there twice or of a wrong value.
    pub fn read(content_type: Option<&str>, body: Bytes) -> Result<Self, RequestError> {
        let boundary = multipart::boundary(content_type)?.to_owned();
        let form = multipart::read(&body, &boundary)?;
        for name in SINGLE {
            if form.parts.iter().filter(|part| part.name == name).count() > 1 {
                return Err(RequestError::twice(name));
            }
        }
        let field = |name: &str| value(&body, &form, name);
        let model = request::model(field("model")?.map(str::to_owned))?;
        let stream = match field("stream")? {
            None | Some("false" | "False" | "0" | "") => false,
            Some("true" | "True" | "1") => true,
            Some(_) => {
                let message = "`stream` must be `true` or `false`".to_owned();
                return Err(RequestError::invalid("stream", message));
            }
        };
        let format = match field("response_format")? {
            Some("text" | "srt" | "vtt") => Format::Text,
            _ => Format::Json,
        };
        let Some(file) = form.parts.iter().find(|part| part.name == "file") else {
            return Err(RequestError::missing("file", "the sound, as a file of the form"));
        };
        if file.content.is_empty() {
            return Err(RequestError::invalid("file", "`file` is empty".to_owned()));
        }
        let sound_bytes = file.content.len() as u64;
        Ok(Self { boundary, form, model, stream, format, sound_bytes, body })
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Bytes of the file.
    pub fn sound_bytes(&self) -> u64 {
        self.sound_bytes
    }

    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The form with the size of each file in the place of its bytes, for people to read.
    pub fn without_files(&self) -> Bytes {
        let mut out = Vec::new();
        let mut at = 0;
        for part in self.form.parts.iter().filter(|part| part.is_file || part.name == "file") {
            out.extend_from_slice(self.body.get(at..part.content.start).unwrap_or_default());
            out.extend_from_slice(format!("[{} bytes]", part.content.len()).as_bytes());
            at = part.content.end;
        }
        out.extend_from_slice(self.body.get(at..).unwrap_or_default());
        out.into()
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The form for one target: model renamed; where the target lists its fields, checked by that list.
    pub(crate) fn for_upstream(
        &self,
        model: &str,
        rules: Option<&BTreeMap<String, FieldRule>>,
    ) -> Result<Rewritten, RequestError> {
        if let Some(rules) = rules {
            self.check(rules)?;
        }
        let content_type = multipart::content_type(&self.boundary);
        let named = self.form.parts.iter().find(|part| part.name == "model");
        let Some(named) = named.filter(|_| model != self.model) else {
            return Ok(Rewritten { content_type, body: self.body.clone(), rest: Vec::new() });
        };
        let Part { content, .. } = named;
        let rest = vec![Bytes::copy_from_slice(model.as_bytes()), self.body.slice(content.end..)];
        Ok(Rewritten { content_type, body: self.body.slice(..content.start), rest })
    }

    fn check(&self, rules: &BTreeMap<String, FieldRule>) -> Result<(), RequestError> {
        for part in self.form.parts.iter().filter(|part| !ALWAYS.contains(&part.name.as_str())) {
            // How clients write lists in a form.
            let name = part.name.strip_suffix("[]").unwrap_or(&part.name);
            let value = self.body.get(part.content.clone()).unwrap_or_default();
            match rules.get(name) {
                Some(rule) => request::check_range(name, value, rule)?,
                None if value.is_empty() => {}
                None => return Err(request::unsupported(&self.model, name, rules)),
            }
        }
        Ok(())
    }
}

/// The text of a field, if it is there.
fn value<'b>(body: &'b [u8], form: &Form, name: &str) -> Result<Option<&'b str>, RequestError> {
    let Some(part) = form.parts.iter().find(|part| part.name == name) else { return Ok(None) };
    if part.is_file {
        return Err(RequestError::invalid(name, format!("`{name}` must be a text, not a file")));
    }
    let bytes = body.get(part.content.clone()).unwrap_or_default();
    let text = std::str::from_utf8(bytes);
    let text = text.ok().filter(|text| !text.contains(char::is_control));
    text.map(Some)
        .ok_or_else(|| RequestError::invalid(name, format!("`{name}` is not one line of UTF-8")))
}

#[cfg(test)]
mod tests;
