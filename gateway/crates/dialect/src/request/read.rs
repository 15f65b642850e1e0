//! The one pass over a body.

use std::ops::Range;

use bytes::Bytes;
use towpath_wire::routing::Operation;

use crate::json::{self, Cursor, Kind, Syntax, Text};
use crate::request::{
    Encoding, Field, Input, MAX_CHOICES, MAX_FIELDS, OpenAiRequest, RequestError, StreamOptions,
};

/// Most characters of a name that is shown back to the caller.
const SHOWN: usize = 64;

/// Text that a token id stands for, on the average of English.
const BYTES_OF_TOKEN_ID: u64 = 4;

/// Either the text is not JSON, or it is and says something wrong.
pub(crate) enum Trouble {
    Syntax(Syntax),
    Refused(RequestError),
}

impl From<Syntax> for Trouble {
    fn from(syntax: Syntax) -> Self {
        Self::Syntax(syntax)
    }
}

impl From<RequestError> for Trouble {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

impl Trouble {
    pub(crate) fn in_body(self, body: &[u8]) -> RequestError {
        match self {
            Self::Syntax(syntax) => RequestError::syntax(body, syntax),
            Self::Refused(error) => error,
        }
    }
}

pub(super) fn read(operation: Operation, body: Bytes) -> Result<OpenAiRequest, RequestError> {
    let mut found = Found::default();
    let fields = members(&body, |cursor, key| found.member(operation, cursor, key))?;
    found.request(operation, body, fields)
}

/// Walk the members of a body, an object, and say where each of them is; `each` passes the value of one.
///
/// # Errors
/// The body is no JSON object, has a name twice, or `each` refuses a value.
pub(crate) fn members(
    body: &[u8],
    mut each: impl FnMut(&mut Cursor<'_>, &[u8]) -> Result<(), Trouble>,
) -> Result<Vec<Field>, RequestError> {
    RequestError::check_utf8(body)?;
    let mut fields = Vec::new();
    walk(&mut Cursor::new(body), &mut fields, &mut each)
        .map_err(|trouble| trouble.in_body(body))?;
    Ok(fields)
}

fn walk(
    cursor: &mut Cursor<'_>,
    fields: &mut Vec<Field>,
    each: &mut impl FnMut(&mut Cursor<'_>, &[u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    cursor.space();
    let kind = cursor.kind()?;
    if kind != Kind::Object {
        let message = format!("the body must be an object, not {}", kind.name());
        return Err(RequestError::new(super::RequestCode::InvalidField, message).into());
    }
    cursor.enter();
    fields.reserve(16);
    let mut first = true;
    while let Some(name) = cursor.key(&mut first)? {
        unique(fields, cursor.bytes(), name)?;
        let start = cursor.position();
        if name.escaped {
            let decoded = name.decode(cursor.bytes()).unwrap_or_default();
            each(cursor, decoded.as_bytes())?;
        } else {
            let bytes = cursor.bytes();
            each(cursor, name.raw(bytes))?;
        }
        fields.push(Field { name, value: start..cursor.position() });
    }
    Ok(cursor.end()?)
}

/// Names that repeat are refused: this reader and the engine's might not choose the same one.
fn unique(fields: &[Field], bytes: &[u8], name: Text) -> Result<(), RequestError> {
    let raw = name.raw(bytes);
    let known = if name.escaped {
        let text = name.decode(bytes).unwrap_or_default();
        fields.iter().any(|f| f.name.is(bytes, &text))
    } else {
        fields.iter().any(|f| match f.name.escaped {
            false => f.name.raw(bytes) == raw,
            true => f.name.decode(bytes).is_some_and(|n| n.as_bytes() == raw),
        })
    };
    if known {
        return Err(RequestError::twice(&shown(bytes, name)));
    }
    if fields.len() == MAX_FIELDS {
        let message = format!("the body has more than {MAX_FIELDS} fields");
        return Err(RequestError::new(super::RequestCode::InvalidField, message));
    }
    Ok(())
}

/// What the pass has found so far.
#[derive(Default)]
struct Found {
    model: Option<String>,
    user: Option<String>,
    stream: bool,
    stream_options: StreamOptions,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    input: Option<Input>,
    input_bytes: u64,
    encoding: Encoding,
    dimensions: Option<u64>,
}

impl Found {
    fn member(
        &mut self,
        operation: Operation,
        cursor: &mut Cursor<'_>,
        key: &[u8],
    ) -> Result<(), Trouble> {
        match key {
            b"model" => self.model = string(cursor, "model")?,
            b"user" => self.user = string(cursor, "user")?,
            b"stream" => self.stream = boolean(cursor, "stream")?,
            b"stream_options" => self.stream_options = stream_options(cursor)?,
            b"max_tokens" => self.max_tokens = whole(cursor, "max_tokens")?,
            b"max_completion_tokens" => {
                self.max_completion_tokens = whole(cursor, "max_completion_tokens")?;
            }
            b"n" => self.n = whole(cursor, "n")?,
            b"messages" if operation == Operation::Chat => self.messages(cursor)?,
            b"prompt" if operation == Operation::Completions => self.texts(cursor, "prompt")?,
            b"input" if operation == Operation::Embeddings => self.texts(cursor, "input")?,
            b"encoding_format" if operation == Operation::Embeddings => self.encoding(cursor)?,
            b"dimensions" if operation == Operation::Embeddings => {
                self.dimensions = whole(cursor, "dimensions")?;
            }
            // What describes tools and output reaches the model as text.
            b"tools" | b"functions" | b"response_format" => {
                self.input_bytes += cursor.skip()?.len() as u64;
            }
            _ => {
                cursor.skip()?;
            }
        }
        Ok(())
    }

    fn messages(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Trouble> {
        expect(cursor, "messages", Kind::Array, "an array of messages")?;
        cursor.enter();
        let (mut first, mut count) = (true, 0_u32);
        while cursor.element(&mut first)? {
            if cursor.kind()? != Kind::Object {
                let param = format!("messages[{count}]");
                expect(cursor, &param, Kind::Object, "an object with `role` and `content`")?;
            }
            self.message(cursor, count)?;
            count += 1;
        }
        if count == 0 {
            return Err(RequestError::invalid("messages", "`messages` is empty".to_owned())
                .fix("Send at least one message: `{\"role\": \"user\", \"content\": \"…\"}`.")
                .into());
        }
        self.input = Some(Input::Messages);
        Ok(())
    }

    fn message(&mut self, cursor: &mut Cursor<'_>, index: u32) -> Result<(), Trouble> {
        cursor.enter();
        let (mut first, mut role) = (true, false);
        while let Some(key) = cursor.key(&mut first)? {
            match key.raw(cursor.bytes()) {
                b"role" => {
                    role = true;
                    if cursor.kind()? != Kind::String {
                        let param = format!("messages[{index}].role");
                        expect(cursor, &param, Kind::String, "a string")?;
                    }
                    cursor.string()?;
                }
                b"content" => {
                    let kind = cursor.kind()?;
                    if !matches!(kind, Kind::String | Kind::Array | Kind::Null) {
                        let param = format!("messages[{index}].content");
                        let expected = "a string or an array of parts";
                        return Err(RequestError::wrong_type(&param, expected, kind).into());
                    }
                    cursor.skip_counting(&mut self.input_bytes)?;
                }
                _ => {
                    cursor.skip_counting(&mut self.input_bytes)?;
                }
            }
        }
        if role {
            Ok(())
        } else {
            let param = format!("messages[{index}].role");
            Err(RequestError::missing(&param, "`system`, `user`, `assistant` or `tool`").into())
        }
    }

    /// `prompt` or `input`: a text, texts, token ids, or arrays of token ids.
    fn texts(&mut self, cursor: &mut Cursor<'_>, name: &str) -> Result<(), Trouble> {
        let kind = cursor.kind()?;
        match kind {
            Kind::String => {
                cursor.skip_counting(&mut self.input_bytes)?;
                self.input = Some(Input::Text);
                return Ok(());
            }
            Kind::Array => cursor.enter(),
            _ => {
                let expected = "a string or an array of strings";
                return Err(RequestError::wrong_type(name, expected, kind).into());
            }
        }
        let (mut first, mut count, mut of) = (true, 0_u32, None);
        while cursor.element(&mut first)? {
            let kind = cursor.kind()?;
            let param = || format!("{name}[{count}]");
            if !matches!(kind, Kind::String | Kind::Number | Kind::Array) {
                return Err(RequestError::wrong_type(&param(), "a string", kind).into());
            }
            if *of.get_or_insert(kind) != kind {
                let message = format!("`{}` is not of the same type as those before", param());
                return Err(RequestError::invalid(param(), message).into());
            }
            cursor.skip_counting(&mut self.input_bytes)?;
            if kind == Kind::Number {
                self.input_bytes += BYTES_OF_TOKEN_ID;
            }
            count += 1;
        }
        self.input = Some(match of {
            Some(Kind::String) => Input::Texts(count),
            Some(_) => Input::Tokens,
            None => {
                return Err(RequestError::invalid(name, format!("`{name}` is empty")).into());
            }
        });
        if of != Some(Kind::Number) {
            // One answer for each text or list of token ids.
            self.inputs_are(name, count)?;
        }
        Ok(())
    }

    fn inputs_are(&self, name: &str, count: u32) -> Result<(), RequestError> {
        if count > MAX_CHOICES {
            let message = format!("`{name}` has {count} elements, more than {MAX_CHOICES}");
            return Err(RequestError::invalid(name, message).fix("Send them in several requests."));
        }
        Ok(())
    }

    fn encoding(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Trouble> {
        let name = "encoding_format";
        self.encoding = match string(cursor, name)?.as_deref() {
            None | Some("float") => Encoding::Float,
            Some("base64") => Encoding::Base64,
            Some(_) => {
                let message = "`encoding_format` must be `float` or `base64`".to_owned();
                return Err(RequestError::invalid(name, message).into());
            }
        };
        Ok(())
    }

    fn request(
        self,
        operation: Operation,
        body: Bytes,
        fields: Vec<Field>,
    ) -> Result<OpenAiRequest, RequestError> {
        let model = model(self.model)?;
        let Some(input) = self.input else {
            return Err(match operation {
                Operation::Chat => RequestError::missing("messages", "an array of messages"),
                Operation::Embeddings => {
                    RequestError::missing("input", "a string or an array of strings")
                }
                _ => RequestError::missing("prompt", "a string or an array of strings"),
            });
        };
        let prompts = match input {
            Input::Texts(count) if operation == Operation::Completions => u64::from(count),
            _ => 1,
        };
        let n = self.n.unwrap_or(1);
        let choices = n.saturating_mul(prompts);
        if n == 0 || choices > u64::from(MAX_CHOICES) {
            let message = format!("`n` must be from 1 to {}", u64::from(MAX_CHOICES) / prompts);
            return Err(RequestError::invalid("n", message));
        }
        Ok(OpenAiRequest {
            body,
            operation,
            fields,
            model,
            user: self.user,
            stream: self.stream,
            stream_options: self.stream_options,
            max_output_tokens: self.max_completion_tokens.or(self.max_tokens),
            choices: u32::try_from(choices).unwrap_or(MAX_CHOICES),
            input,
            input_bytes: self.input_bytes,
            encoding: self.encoding,
            dimensions: self.dimensions,
        })
    }
}

/// The name of the model that was asked for.
pub(crate) fn model(given: Option<String>) -> Result<String, RequestError> {
    match given {
        Some(model) if !model.is_empty() => Ok(model),
        Some(_) => Err(RequestError::invalid("model", "`model` is empty".to_owned())
            .fix("Set `model` to a name that `GET /v1/models` lists.")),
        None => Err(RequestError::missing("model", "a name that `GET /v1/models` lists")),
    }
}

/// A key as it may be shown: decoded, and no longer than [`SHOWN`].
pub(crate) fn shown(bytes: &[u8], name: Text) -> String {
    let name = name.decode(bytes).unwrap_or_default();
    name.chars().take(SHOWN).collect()
}

pub(crate) fn expect(
    cursor: &Cursor<'_>,
    param: &str,
    kind: Kind,
    expected: &str,
) -> Result<(), Trouble> {
    let found = cursor.kind()?;
    if found == kind {
        Ok(())
    } else {
        Err(RequestError::wrong_type(param, expected, found).into())
    }
}

/// A string, or `None` for null.
pub(crate) fn string(cursor: &mut Cursor<'_>, name: &str) -> Result<Option<String>, Trouble> {
    if cursor.kind()? == Kind::Null {
        cursor.skip()?;
        return Ok(None);
    }
    expect(cursor, name, Kind::String, "a string")?;
    let text = cursor.string()?;
    match text.decode(cursor.bytes()) {
        Some(text) => Ok(Some(text)),
        None => {
            Err(RequestError::invalid(name, format!("`{name}` holds half a surrogate pair")).into())
        }
    }
}

/// True or false; null is false.
pub(crate) fn boolean(cursor: &mut Cursor<'_>, name: &str) -> Result<bool, Trouble> {
    if cursor.kind()? == Kind::Null {
        cursor.skip()?;
        return Ok(false);
    }
    expect(cursor, name, Kind::Bool, "true or false")?;
    Ok(cursor.boolean()?)
}

/// A whole number from 0, or `None` for null.
pub(crate) fn whole(cursor: &mut Cursor<'_>, name: &str) -> Result<Option<u64>, Trouble> {
    if cursor.kind()? == Kind::Null {
        cursor.skip()?;
        return Ok(None);
    }
    expect(cursor, name, Kind::Number, "a whole number")?;
    let range: Range<usize> = cursor.number()?;
    let raw = cursor.slice(range);
    if let Some(number) = json::whole(raw) {
        return Ok(Some(number));
    }
    let digits = raw.iter().all(u8::is_ascii_digit);
    let message = match raw.first() {
        Some(b'-') => format!("`{name}` must not be negative"),
        _ if digits => format!("`{name}` is larger than any number that makes sense"),
        _ => format!("`{name}` must be a whole number, without fraction or exponent"),
    };
    Err(RequestError::invalid(name, message).into())
}

fn stream_options(cursor: &mut Cursor<'_>) -> Result<StreamOptions, Trouble> {
    if cursor.kind()? == Kind::Null {
        cursor.skip()?;
        return Ok(StreamOptions::Absent);
    }
    expect(cursor, "stream_options", Kind::Object, "an object")?;
    cursor.enter();
    let (mut first, mut found, mut wanted) = (true, None, false);
    while let Some(key) = cursor.key(&mut first)? {
        let start = cursor.position();
        if key.is(cursor.bytes(), "include_usage") {
            if found.is_some() {
                return Err(RequestError::twice("stream_options.include_usage").into());
            }
            wanted = boolean(cursor, "stream_options.include_usage")?;
            found = Some(start..cursor.position());
        } else {
            cursor.skip()?;
        }
    }
    Ok(StreamOptions::Given { include_usage: found, wanted, empty: first })
}
