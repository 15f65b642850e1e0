//! Whole answers of these dialects that pass on untouched: read for what they used.

use crate::answer::{Usage, check_json};
use crate::errors::UpstreamFault;
use crate::json::{Cursor, Kind, Syntax};
use crate::typed::{Counts, Grammar};

/// Usage of a whole answer, and the bytes of text in it.
///
/// `says` passes the value of a member that is neither error nor usage, adds the text in it, and tells
/// whether this member is what makes the body an answer.
///
/// # Errors
/// HTML, text, broken JSON, or an error in a 200.
pub(crate) fn metered(
    body: &[u8],
    grammar: Grammar,
    mut says: impl FnMut(&[u8], &mut Cursor<'_>, &mut u64) -> Result<bool, Syntax>,
) -> Result<(Option<Usage>, u64), UpstreamFault> {
    check_json(body)?;
    let mut found = Found::default();
    found
        .walk(&mut Cursor::new(body), &mut says)
        .map_err(|_| UpstreamFault::nonsense("the model's server sent broken JSON", body))?;
    if found.error {
        return Err(UpstreamFault::from_typed(body));
    }
    if !found.answer {
        let message = "the model's server sent no answer of this kind";
        return Err(UpstreamFault::nonsense(message, body));
    }
    Ok((found.counts.usage(grammar), found.content_bytes))
}

#[derive(Default)]
struct Found {
    answer: bool,
    error: bool,
    counts: Counts,
    content_bytes: u64,
}

impl Found {
    fn walk(
        &mut self,
        cursor: &mut Cursor<'_>,
        says: &mut impl FnMut(&[u8], &mut Cursor<'_>, &mut u64) -> Result<bool, Syntax>,
    ) -> Result<(), Syntax> {
        cursor.space();
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return Ok(());
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            let kind = cursor.kind()?;
            match (key.raw(cursor.bytes()), kind) {
                (b"error", Kind::Object | Kind::String) => {
                    self.error = true;
                    cursor.skip()?;
                }
                (b"usage", _) => self.counts = Counts::read(cursor)?,
                (name, _) => self.answer |= says(name, cursor, &mut self.content_bytes)?,
            }
        }
        cursor.end()
    }
}
