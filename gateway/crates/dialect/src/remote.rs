//! Content that a request names by URL, and how it is put in the URL's place.
//!
//! A server that the organisation runs would fetch such a URL itself, from inside the network: whoever may
//! call it could look around there. So what is for such a server is fetched outside of it, by somebody who
//! knows which addresses may be called, and stands in the request when that leaves.
//! Members are found by the names that the servers' own readers go by, `type` or not: `image_url` and its
//! kind, and the `source` of a message's block.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::call::Request;
use crate::json::{Cursor, Kind, Syntax, Text};
use crate::messages::MessagesRequest;
use crate::request::{OpenAiRequest, RequestCode, RequestError};
use crate::rerank::RerankRequest;
use crate::responses::ResponsesRequest;

/// Most URLs in one request. Vendors take 20 to 100 images; each of ours is fetched before the call.
pub const MAX_REMOTE: usize = 16;

/// Most characters of a name that is shown back to the caller.
const SHOWN: usize = 64;

/// Content that is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is named: `messages[0].content[1].image_url.url`.
    pub path: String,
    /// `http:` or `https:`.
    pub url: String,
    /// What the content replaces, in the body.
    place: Range<usize>,
    form: Form,
}

/// How content stands in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As a `data:` URL.
    Url,
    /// As a `source` of Anthropic's.
    Source,
}

/// Content that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inline {
    /// `image/png`; nothing that would need escaping.
    pub media_type: &'static str,
    pub bytes: Bytes,
}

impl Request {
    /// All content that the request names by URL; empty for almost all requests, at the price of a search.
    ///
    /// # Errors
    /// There is too much of it, or it has a URL that nothing is fetched from.
    pub fn remote(&self) -> Result<Vec<Remote>, RequestError> {
        let body = self.body();
        if matches!(self, Self::Transcription(_)) || !may_name_urls(body) {
            return Ok(Vec::new());
        }
        let mut found = Found::default();
        let mut cursor = Cursor::new(body);
        cursor.space();
        found
            .object(&mut cursor, &mut String::new())
            .map_err(|syntax| RequestError::syntax(body, syntax))?;
        found.trouble.map_or(Ok(found.remote), Err)
    }

    /// The same request with content in the place of the URLs that name it.
    ///
    /// # Errors
    /// Never for URLs of this request: what is changed is a string or a source.
    pub fn with_inline(&self, content: &[(Remote, Inline)]) -> Result<Self, RequestError> {
        let body = self.body();
        let more: usize =
            content.iter().map(|(_, inline)| inline.bytes.len().div_ceil(3) * 4 + 96).sum();
        let mut out = Vec::with_capacity(body.len() + more);
        let mut at = 0;
        for (remote, inline) in content {
            out.extend_from_slice(body.get(at..remote.place.start).unwrap_or_default());
            inline.write(remote.form, &mut out);
            at = remote.place.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        let body = Bytes::from(out);
        match self {
            Self::OpenAi(request) => {
                OpenAiRequest::read(request.operation(), body).map(Self::OpenAi)
            }
            Self::Messages(request) => {
                MessagesRequest::read(request.operation(), body).map(Self::Messages)
            }
            Self::Responses(_) => ResponsesRequest::read(body).map(Self::Responses),
            Self::Rerank(_) => RerankRequest::read(body).map(Self::Rerank),
            // A form, which names nothing by URL.
            Self::Transcription(_) => Ok(self.clone()),
        }
    }
}

impl Inline {
    fn write(&self, form: Form, out: &mut Vec<u8>) {
        let (head, between, tail) = match form {
            Form::Url => ("\"data:", ";base64,", "\""),
            Form::Source => (r#"{"type":"base64","media_type":""#, r#"","data":""#, r#""}"#),
        };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(self.media_type.as_bytes());
        out.extend_from_slice(between.as_bytes());
        out.extend_from_slice(STANDARD.encode(&self.bytes).as_bytes());
        out.extend_from_slice(tail.as_bytes());
    }
}

/// Whether a member could be called `…_url` or `source`, spelled out or escaped.
fn may_name_urls(body: &[u8]) -> bool {
    let holds = |needle: &[u8]| memchr::memmem::find(body, needle).is_some();
    holds(b"_url\"") || holds(b"\"source\"") || holds(b"\\u00")
}

/// Members of a body that hold schemas and the caller's own data: no server fetches what they name.
const OWN_WORDS: [&str; 6] =
    ["tools", "functions", "response_format", "text", "output_config", "metadata"];

/// Members of parts with the same: arguments of a call that the model has made.
const ARGUMENTS: [&str; 2] = ["input", "arguments"];

#[derive(Default)]
struct Found {
    remote: Vec<Remote>,
    /// The first thing that is wrong.
    trouble: Option<RequestError>,
}

/// A URL as it stands in the body.
struct Named {
    url: Text,
    place: Range<usize>,
    form: Form,
    /// It is called an image.
    image: bool,
}

impl Found {
    /// Look through a value; how deep it goes was bounded when the request was read.
    fn value(&mut self, cursor: &mut Cursor<'_>, path: &mut String) -> Result<(), Syntax> {
        match cursor.kind()? {
            Kind::Object => self.object(cursor, path),
            Kind::Array => {
                cursor.enter();
                let (mut first, mut index) = (true, 0_usize);
                while cursor.element(&mut first)? {
                    let length = path.len();
                    path.push_str(&format!("[{index}]"));
                    self.value(cursor, path)?;
                    path.truncate(length);
                    index += 1;
                }
                Ok(())
            }
            _ => cursor.skip().map(drop),
        }
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, path: &mut String) -> Result<(), Syntax> {
        cursor.enter();
        let mut first = true;
        let passed: &[&str] = if path.is_empty() { &OWN_WORDS } else { &ARGUMENTS };
        while let Some(name) = cursor.key(&mut first)? {
            let name = name.decode(cursor.bytes()).unwrap_or_default();
            let length = path.len();
            if length > 0 {
                path.push('.');
            }
            path.extend(name.chars().take(SHOWN));
            match (name.as_str(), cursor.kind()?) {
                (name, _) if passed.contains(&name) => {
                    cursor.skip()?;
                }
                (name, Kind::String) if name.ends_with("_url") => {
                    let image = name == "image_url";
                    let start = cursor.position();
                    let url = cursor.string()?;
                    let place = start..cursor.position();
                    let named = Named { url, place, form: Form::Url, image };
                    self.note(cursor.bytes(), path, named);
                }
                (name, Kind::Object) if name.ends_with("_url") => {
                    self.named(cursor, path, Form::Url, name == "image_url")?;
                }
                ("source", Kind::Object) => self.named(cursor, path, Form::Source, true)?,
                _ => self.value(cursor, path)?,
            }
            path.truncate(length);
        }
        Ok(())
    }

    /// An object whose member `url` names content.
    fn named(
        &mut self,
        cursor: &mut Cursor<'_>,
        path: &mut String,
        form: Form,
        image: bool,
    ) -> Result<(), Syntax> {
        let whole = cursor.position();
        let mut urls = Vec::new();
        cursor.enter();
        let mut first = true;
        while let Some(name) = cursor.key(&mut first)? {
            if name.is(cursor.bytes(), "url") && cursor.kind()? == Kind::String {
                let start = cursor.position();
                urls.push((cursor.string()?, start..cursor.position()));
            } else {
                cursor.skip()?;
            }
        }
        path.push_str(".url");
        if urls.len() > 1 {
            self.trouble.get_or_insert_with(|| RequestError::twice(path));
        }
        if let Some((url, place)) = urls.pop() {
            let place = if form == Form::Url { place } else { whole..cursor.position() };
            self.note(cursor.bytes(), path, Named { url, place, form, image });
        }
        Ok(())
    }

    fn note(&mut self, body: &[u8], path: &str, named: Named) {
        let url = named.url.decode(body).unwrap_or_default();
        if url.starts_with("data:") {
            return;
        }
        let is = |scheme: &str| {
            url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        let trouble = if !named.image {
            let what = format!("`{path}` is a URL, which this model's server is not to call");
            Some(RequestError::new(RequestCode::UnsupportedField, what).about(path))
        } else if !is("https://") && !is("http://") {
            let what = format!("`{path}` is neither a web address nor `data:`");
            Some(RequestError::invalid(path, what))
        } else if self.remote.len() == MAX_REMOTE {
            let what = format!("the request names more than {MAX_REMOTE} images by URL");
            Some(RequestError::invalid(path, what))
        } else {
            None
        };
        match trouble {
            Some(trouble) => {
                let fix = "Send the content itself, as `data:<type>;base64,…`.";
                self.trouble.get_or_insert(trouble.fix(fix));
            }
            None => {
                let Named { place, form, .. } = named;
                self.remote.push(Remote { path: path.to_owned(), url, place, form });
            }
        }
    }
}

#[cfg(test)]
mod tests;
