//! Reranking: how well documents answer a query, in the shape that Jina and Cohere gave it and that vLLM,
//! llama.cpp and Infinity took over.

use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_wire::routing::FieldRule;

use crate::answer::{self, Usage};
use crate::errors::UpstreamFault;
use crate::json::{Cursor, Kind, Syntax};
use crate::request::{Envelope, RequestError, Trouble, string, whole};

/// Most documents of one call. Vendors take 1,000 to 10,000.
const MAX_DOCUMENTS: u64 = 10_000;

/// A request body of `/v1/rerank`.
#[derive(Clone, Debug)]
pub struct RerankRequest {
    envelope: Envelope,
    user: Option<String>,
    input_bytes: u64,
}

impl RerankRequest {
    /// Read a body.
    ///
    /// # Errors
    /// The body is not JSON, or a field that the gateway reads is missing or of a wrong type.
    pub fn read(body: Bytes) -> Result<Self, RequestError> {
        let (mut user, mut query, mut documents) = (None, None, None);
        let envelope = Envelope::read(body, |cursor, key, _text| {
            match key {
                b"user" => user = string(cursor, "user")?,
                b"query" => query = Some(text(cursor, "query", "a string")?),
                b"documents" => documents = Some(list(cursor)?),
                b"top_n" => {
                    whole(cursor, "top_n")?;
                }
                _ => {
                    cursor.skip()?;
                }
            }
            Ok(())
        })?;
        let Some(query) = query else {
            return Err(RequestError::missing(
                "query",
                "the text that the documents are held against",
            ));
        };
        let Some((count, bytes)) = documents else {
            return Err(RequestError::missing("documents", "an array of texts"));
        };
        // The query is read once with each document.
        let input_bytes = query.saturating_mul(count).saturating_add(bytes);
        Ok(Self { envelope, user, input_bytes })
    }

    pub fn model(&self) -> &str {
        &self.envelope.model
    }

    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Bytes of text that the model will read: the query with each document.
    pub fn input_bytes(&self) -> u64 {
        self.input_bytes
    }

    /// The query as it stands in the body.
    pub fn prompt(&self) -> &[u8] {
        self.envelope.value("query")
    }

    pub fn body(&self) -> &Bytes {
        &self.envelope.body
    }

    pub(crate) fn for_upstream(
        &self,
        model: &str,
        rules: Option<&BTreeMap<String, FieldRule>>,
    ) -> Result<Bytes, RequestError> {
        self.envelope.rewritten(model, rules, &["query", "documents"], &["user"])
    }
}

/// Length of a text: a string, or an object with a `text`, as some models take pictures beside it.
fn text(cursor: &mut Cursor<'_>, param: &str, expected: &str) -> Result<u64, Trouble> {
    let kind = cursor.kind()?;
    if !matches!(kind, Kind::String | Kind::Object) {
        return Err(RequestError::wrong_type(param, expected, kind).into());
    }
    let mut bytes = 0;
    cursor.skip_counting(&mut bytes)?;
    Ok(bytes)
}

/// How many documents there are, and their bytes of text.
fn list(cursor: &mut Cursor<'_>) -> Result<(u64, u64), Trouble> {
    let kind = cursor.kind()?;
    if kind != Kind::Array {
        return Err(RequestError::wrong_type("documents", "an array of texts", kind).into());
    }
    cursor.enter();
    let (mut first, mut count, mut bytes) = (true, 0_u64, 0_u64);
    while cursor.element(&mut first)? {
        if !matches!(cursor.kind()?, Kind::String | Kind::Object) {
            text(cursor, &format!("documents[{count}]"), "a string or an object with `text`")?;
        }
        cursor.skip_counting(&mut bytes)?;
        count += 1;
        if count > MAX_DOCUMENTS {
            let message = format!("`documents` has more than {MAX_DOCUMENTS} elements");
            let error = RequestError::invalid("documents", message);
            return Err(error.fix("Send them in several requests.").into());
        }
    }
    if count == 0 {
        let error = RequestError::invalid("documents", "`documents` is empty".to_owned());
        return Err(error.fix("Send at least one document.").into());
    }
    Ok((count, bytes))
}

/// Read a plain answer for what it used; it passes on untouched.
///
/// # Errors
/// HTML, text, broken JSON, or an error object in a 200.
pub(crate) fn metered(body: &[u8]) -> Result<Option<Usage>, UpstreamFault> {
    answer::check_json(body)?;
    let mut found = Found::default();
    let broken = || UpstreamFault::nonsense("the model's server sent broken JSON", body);
    found.walk(&mut Cursor::new(body)).map_err(|_| broken())?;
    if found.error {
        return Err(UpstreamFault::from_event(body));
    }
    if !found.results {
        let message = "the model's server sent no answer of this kind";
        return Err(UpstreamFault::nonsense(message, body));
    }
    let input_tokens = found.prompt.or(found.total);
    Ok(input_tokens.map(|_| Usage { input_tokens, ..Usage::default() }))
}

#[derive(Default)]
struct Found {
    results: bool,
    error: bool,
    prompt: Option<u64>,
    total: Option<u64>,
}

impl Found {
    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.space();
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return cursor.end();
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            let kind = cursor.kind()?;
            match (key.raw(cursor.bytes()), kind) {
                (b"results", Kind::Array) => {
                    self.results = true;
                    cursor.skip()?;
                }
                (b"error", Kind::Object | Kind::String) => {
                    self.error = true;
                    cursor.skip()?;
                }
                // Jina, and those that followed: a reranker only reads.
                (b"usage", _) => answer::details(
                    cursor,
                    [(b"prompt_tokens", &mut self.prompt), (b"total_tokens", &mut self.total)],
                )?,
                // Cohere.
                (b"meta", Kind::Object) => self.meta(cursor)?,
                _ => {
                    cursor.skip()?;
                }
            }
        }
        cursor.end()
    }

    fn meta(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            if key.raw(cursor.bytes()) == b"tokens" {
                answer::details(cursor, [(b"input_tokens", &mut self.prompt)])?;
            } else {
                cursor.skip()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
