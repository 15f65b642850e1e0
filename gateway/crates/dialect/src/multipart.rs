//! `multipart/form-data`, as callers send files: read once, strictly, kept as the bytes that came.
//!
//! Servers differ in what they make of a form that is not quite right, and what this reader sees and the
//! model's server does not must never differ. So whatever the usual clients do not send is refused by name:
//! text before the first part or after the last, lines that merely begin with the boundary, parts in a
//! transfer encoding, parts without a name.

use std::ops::Range;

use memchr::memmem;

use crate::request::RequestError;

/// Most parts of a form: the calls that take one have about 15 fields.
pub const MAX_PARTS: usize = 64;
/// Largest head of a part: two or three headers, with the name of a file.
pub const MAX_PART_HEAD: usize = 4 << 10;
/// Longest boundary (RFC 2046).
const MAX_BOUNDARY: usize = 70;
/// Longest name of a field that an error text repeats.
const SHOWN: usize = 64;

/// A form's parts, by where they are in its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub parts: Vec<Part>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub name: String,
    /// It came with a file's name.
    pub is_file: bool,
    pub content: Range<usize>,
}

/// The boundary that a `content-type` names.
///
/// # Errors
/// It is no form's, or names no boundary that could be one.
pub(crate) fn boundary(content_type: Option<&str>) -> Result<&str, RequestError> {
    let wrong = |message: String| {
        RequestError::invalid("content-type", message)
            .fix("Send the body as `multipart/form-data`, as the OpenAI clients do; `curl -F` makes such bodies.")
    };
    let Some(content_type) = content_type else {
        return Err(wrong("the body has no `content-type`".to_owned()));
    };
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        let kind: String = kind.trim().chars().take(SHOWN).collect();
        return Err(wrong(format!("the body is `{kind}`, not `multipart/form-data`")));
    }
    let mut found = None;
    for parameter in parameters.split(';') {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("boundary") && found.replace(value.trim()).is_some() {
            return Err(wrong("`content-type` names two boundaries".to_owned()));
        }
    }
    let Some(value) = found else {
        return Err(wrong("`content-type` names no `boundary`".to_owned()));
    };
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let value = quoted.unwrap_or(value);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b);
    if value.is_empty() || value.len() > MAX_BOUNDARY || !value.bytes().all(allowed) {
        return Err(wrong(format!(
            "the `boundary` in `content-type` is not 1 to {MAX_BOUNDARY} letters, digits or `'()+_,-./:=?`"
        )));
    }
    Ok(value)
}

/// The `content-type` of a form with this boundary.
pub(crate) fn content_type(boundary: &str) -> String {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"'+_-.".contains(&b);
    if boundary.bytes().all(token) {
        format!("multipart/form-data; boundary={boundary}")
    } else {
        format!("multipart/form-data; boundary=\"{boundary}\"")
    }
}

/// Find the parts of a body.
///
/// # Errors
/// The body is not a form with this boundary, or larger in parts or heads than a form may be.
pub(crate) fn read(body: &[u8], boundary: &str) -> Result<Form, RequestError> {
    let delimiter = format!("\r\n--{boundary}");
    let opening = delimiter.as_bytes().get(2..).unwrap_or_default();
    if !body.starts_with(opening) {
        return Err(broken("the form does not begin with the boundary that `content-type` names"));
    }
    let finder = memmem::Finder::new(delimiter.as_bytes());
    let mut parts = Vec::new();
    let mut at = opening.len();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if let Some(last) = rest.strip_prefix(b"--") {
            if !matches!(last, b"" | b"\r\n") {
                return Err(broken("the form goes on after its end"));
            }
            return Ok(Form { parts });
        }
        if !rest.starts_with(b"\r\n") {
            return Err(broken("a line of the form begins with the boundary and goes on"));
        }
        if parts.len() == MAX_PARTS {
            return Err(broken(format!("the form has more than {MAX_PARTS} parts")));
        }
        // The line break that ends the boundary's line belongs to the head: a head may be empty.
        let start = at;
        let within = body.get(start..body.len().min(start + MAX_PART_HEAD)).unwrap_or_default();
        let Some(length) = memmem::find(within, b"\r\n\r\n") else {
            let message = if body.len() - start > MAX_PART_HEAD {
                format!("a part's head is larger than {MAX_PART_HEAD} bytes")
            } else {
                "the form ends in the head of a part".to_owned()
            };
            return Err(broken(message));
        };
        let head = within.get(2.min(length)..length).unwrap_or_default();
        let (name, is_file) = named(head)?;
        let content = start + length + 4;
        let Some(size) = finder.find(body.get(content..).unwrap_or_default()) else {
            return Err(broken(format!("the form ends in the part `{}`", shown(&name))));
        };
        parts.push(Part { name, is_file, content: content..content + size });
        at = content + size + delimiter.len();
    }
}

/// Name of the field that a part's head describes, and whether it is a file.
fn named(head: &[u8]) -> Result<(String, bool), RequestError> {
    let Ok(head) = std::str::from_utf8(head) else {
        return Err(broken("a part's head is not UTF-8"));
    };
    let mut disposition = None;
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        let Some((header, value)) = line.split_once(':') else {
            return Err(broken("a part's head has a line that is no header"));
        };
        if header.eq_ignore_ascii_case("content-disposition") {
            if disposition.replace(value.trim()).is_some() {
                return Err(broken("a part has two `content-disposition`s"));
            }
        } else if header.eq_ignore_ascii_case("content-transfer-encoding") {
            let encoding = value.trim();
            if !["7bit", "8bit", "binary"].iter().any(|plain| plain.eq_ignore_ascii_case(encoding))
            {
                return Err(broken("a part has a `content-transfer-encoding`"));
            }
        } else if header.is_empty()
            || header.ends_with([' ', '\t'])
            || header.starts_with([' ', '\t'])
        {
            return Err(broken("a part's head has a line that is no header"));
        }
    }
    let Some(disposition) = disposition else {
        return Err(broken("a part has no `content-disposition`"));
    };
    let (name, is_file) = disposition_of(disposition)?;
    name.filter(|name| !name.is_empty())
        .map(|name| (name, is_file))
        .ok_or_else(|| broken("a part has no name"))
}

/// `form-data; name="…"; filename="…"`.
fn disposition_of(value: &str) -> Result<(Option<String>, bool), RequestError> {
    let malformed = || broken("a part's `content-disposition` is malformed");
    let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(broken("a part's `content-disposition` is not `form-data`"));
    }
    let (mut name, mut is_file) = (None, false);
    while !rest.trim().is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(malformed)?;
        let (text, left) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_text(quoted).ok_or_else(malformed)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        let left = left.trim_start();
        rest = match left.strip_prefix(';') {
            Some(rest) => rest,
            None if left.is_empty() => "",
            None => return Err(malformed()),
        };
        let key = key.trim();
        if key.eq_ignore_ascii_case("name") {
            if name.replace(text).is_some() {
                return Err(malformed());
            }
        } else if key.eq_ignore_ascii_case("filename") || key.eq_ignore_ascii_case("filename*") {
            is_file = true;
        } else if key.eq_ignore_ascii_case("name*") {
            // A second name, which only some servers read.
            return Err(malformed());
        }
    }
    Ok((name, is_file))
}

/// The text up to the closing quote, and what follows it.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                escaped @ ('"' | '\\') => out.push(escaped),
                // A path of Windows, whose clients escape nothing.
                other => out.extend(['\\', other]),
            },
            other => out.push(other),
        }
    }
    None
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN).collect::<String>().escape_debug().to_string()
}

fn broken(message: impl Into<String>) -> RequestError {
    RequestError::new(crate::request::RequestCode::InvalidForm, message.into())
}

#[cfg(test)]
mod tests;
