//! Taking out of a text what a project does not want kept, in time linear in the text's length.

use regex::bytes::{NoExpand, Regex, RegexBuilder};
use towpath_wire::routing::Redaction;

/// Most rules of a project, and the longest: more than any policy needs, and few enough for every body.
pub const MAX_RULES: usize = 32;
pub const MAX_PATTERN: usize = 512;
const MAX_NAME: usize = 64;
/// Memory of one compiled pattern, and of what it computes while it matches.
const MAX_COMPILED: usize = 1 << 20;
/// The platform's own keys and tokens are taken out whatever a project says.
const OWN: (&str, &str) =
    ("towpath_key", "tp_(?:sandbox|staging|production|user|service|admin)_[0-9A-Za-z]{38}");

/// The rules of one project, ready to use.
#[derive(Clone, Debug)]
pub struct Redactor {
    rules: Vec<(Regex, Vec<u8>)>,
}

impl Redactor {
    /// # Errors
    /// A rule has no usable name or pattern, or there are too many.
    pub fn new(redactions: &[Redaction]) -> Result<Self, String> {
        if redactions.len() > MAX_RULES {
            return Err(format!("there are more than {MAX_RULES} redaction rules"));
        }
        let own = [(OWN.0, OWN.1)];
        let given = redactions.iter().map(|rule| (rule.name.as_str(), rule.pattern.as_str()));
        let rules = own.into_iter().chain(given).map(|(name, pattern)| rule(name, pattern));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// Replace every match of every rule, one rule after the other.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        for (pattern, replacement) in &self.rules {
            if pattern.is_match(&text) {
                text = pattern.replace_all(&text, NoExpand(replacement)).into_owned();
            }
        }
        text
    }
}

fn rule(name: &str, pattern: &str) -> Result<(Regex, Vec<u8>), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        return Err(format!(
            "a redaction rule's name is not 1 to {MAX_NAME} letters, digits, `-` and `_`"
        ));
    }
    if pattern.len() > MAX_PATTERN {
        return Err(format!(
            "the pattern of redaction `{name}` is longer than {MAX_PATTERN} characters"
        ));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED);
    let compiled = builder.build().map_err(|error| {
        let why = error.to_string();
        let last = why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        format!("the pattern of redaction `{name}` cannot be used: {last}")
    })?;
    if compiled.is_match(b"") {
        return Err(format!("the pattern of redaction `{name}` matches what is empty"));
    }
    Ok((compiled, format!("[redacted:{name}]").into_bytes()))
}

#[cfg(test)]
mod tests;
