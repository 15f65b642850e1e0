//! What one event says.

use std::ops::Range;

use crate::answer::{self, Usage};
use crate::errors::UpstreamFault;
use crate::json::{self, Cursor, Kind, Syntax, Text};
use crate::recovery::Said;
use crate::stream::split::{Line, lines};

/// How much of an event may pass.
pub(super) enum Taken {
    Whole,
    Nothing,
    /// All but this part of it.
    Without(Range<usize>),
}

pub(super) enum Event {
    /// Nothing for the gateway: comments, ids, blank lines.
    Comment,
    Done,
    Chunk(Chunk),
}

/// A chunk of the answer.
#[derive(Default)]
pub(super) struct Chunk {
    pub choices: Few,
    pub usage: Option<Usage>,
    /// Where the member `usage` is in the event, with the comma that goes with it.
    pub usage_member: Option<Range<usize>>,
    /// `choices` is empty or not there.
    pub empty: bool,
    error: bool,
}

/// One choice's part in a chunk.
#[derive(Clone, Copy, Default)]
pub(super) struct Choice {
    pub index: u32,
    pub finished: bool,
    pub content: bool,
    /// It says something that is no text.
    other: bool,
    /// Where its text is.
    said: Option<Text>,
}

impl Choice {
    fn tell(&self, chunk: &[u8], said: &mut Said) {
        if self.index != 0 {
            return said.note_other();
        }
        if self.other {
            said.note_other();
        }
        if let Some(text) = self.said.and_then(|text| text.decode(chunk)) {
            said.push(&text);
        }
        if self.finished {
            said.note_end();
        }
    }
}

/// Choices of a chunk: nearly always one, kept without allocating.
#[derive(Default)]
pub(super) struct Few {
    first: Option<Choice>,
    rest: Vec<Choice>,
}

impl Few {
    fn push(&mut self, choice: Choice) {
        if self.first.is_none() {
            self.first = Some(choice);
        } else {
            self.rest.push(choice);
        }
    }
}

impl<'a> IntoIterator for &'a Few {
    type Item = &'a Choice;
    type IntoIter = std::iter::Chain<std::option::Iter<'a, Choice>, std::slice::Iter<'a, Choice>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.iter().chain(self.rest.iter())
    }
}

/// Read one event with its blank line; what the first choice says is added to `said`.
///
/// # Errors
/// Its data is not a JSON object, or is an error.
pub(super) fn read(event: &[u8], said: Option<&mut Said>) -> Result<Event, UpstreamFault> {
    let mut data = lines(event).filter_map(|line| match line {
        Line::Data { text, offset } => Some((text, offset)),
        Line::Other => None,
    });
    let Some((text, offset)) = data.next() else { return Ok(Event::Comment) };
    let mut chunk = match data.next() {
        None if text.trim_ascii() == b"[DONE]" => return Ok(Event::Done),
        None => Chunk::read(text, said)?,
        Some(second) => {
            // Several data lines are one text with line feeds between. No part of it can be taken out,
            // since its members need not lie on one line.
            let mut joined = text.to_vec();
            for (line, _) in std::iter::once(second).chain(data) {
                joined.push(b'\n');
                joined.extend_from_slice(line);
            }
            let mut chunk = Chunk::read(&joined, said)?;
            chunk.usage_member = None;
            chunk
        }
    };
    if let Some(member) = &mut chunk.usage_member {
        *member = member.start + offset..member.end + offset;
    }
    Ok(Event::Chunk(chunk))
}

impl Chunk {
    fn read(text: &[u8], said: Option<&mut Said>) -> Result<Self, UpstreamFault> {
        let broken = || UpstreamFault::nonsense("the model's server sent a broken event", text);
        if std::str::from_utf8(text).is_err() {
            return Err(broken());
        }
        let mut chunk = Self { empty: true, ..Self::default() };
        chunk.walk(&mut Cursor::new(text)).map_err(|_| broken())?;
        if chunk.error {
            return Err(UpstreamFault::from_event(text));
        }
        if let Some(said) = said {
            for choice in &chunk.choices {
                choice.tell(text, said);
            }
        }
        Ok(chunk)
    }

    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.space();
        if cursor.peek() != Some(b'{') {
            return Err(cursor.wrong("expected an object"));
        }
        cursor.enter();
        let opening = cursor.position();
        let (mut first, mut before) = (true, opening);
        while let Some(key) = cursor.key(&mut first)? {
            if let Some(member) = &mut self.usage_member
                && member.start == opening
                && member.end == before
            {
                // The first member takes the comma after it along.
                member.end = key.start - 1;
            }
            let kind = cursor.kind()?;
            match key.raw(cursor.bytes()) {
                b"choices" if kind == Kind::Array => self.choices(cursor)?,
                b"usage" => {
                    self.usage = answer::usage(cursor)?;
                    self.usage_member = Some(before..cursor.position());
                }
                b"error" if kind != Kind::Null => {
                    self.error = true;
                    cursor.skip()?;
                }
                b"object" if kind == Kind::String => {
                    self.error |= cursor.string()?.raw(cursor.bytes()) == b"error";
                }
                _ => {
                    cursor.skip()?;
                }
            }
            before = cursor.position();
        }
        cursor.end()
    }

    fn choices(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.enter();
        let mut first = true;
        while cursor.element(&mut first)? {
            self.empty = false;
            if cursor.kind()? != Kind::Object {
                return Err(cursor.wrong("expected an object"));
            }
            let choice = choice(cursor)?;
            self.choices.push(choice);
        }
        Ok(())
    }
}

fn choice(cursor: &mut Cursor<'_>) -> Result<Choice, Syntax> {
    let mut choice = Choice::default();
    cursor.enter();
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        match key.raw(cursor.bytes()) {
            b"index" => {
                let value = cursor.skip()?;
                let index = json::whole(cursor.slice(value)).unwrap_or(0);
                choice.index = u32::try_from(index).unwrap_or(u32::MAX);
            }
            b"finish_reason" => {
                choice.finished = cursor.kind()? != Kind::Null;
                cursor.skip()?;
            }
            b"delta" if cursor.kind()? == Kind::Object => delta(cursor, &mut choice)?,
            b"text" => {
                let text = string(cursor)?;
                choice.content |= text.is_some_and(|text| text.start < text.end);
                choice.said = text;
            }
            _ => {
                cursor.skip()?;
            }
        }
    }
    Ok(choice)
}

/// Note what a delta says besides whose turn it is.
fn delta(cursor: &mut Cursor<'_>, choice: &mut Choice) -> Result<(), Syntax> {
    cursor.enter();
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        match key.raw(cursor.bytes()) {
            b"role" => {
                cursor.skip()?;
            }
            b"content" if cursor.kind()? == Kind::String => {
                let text = cursor.string()?;
                choice.content |= text.start < text.end;
                choice.said = Some(text);
            }
            _ => {
                let value = cursor.skip()?;
                let says = !matches!(cursor.slice(value), b"null" | b"\"\"" | b"[]" | b"{}");
                choice.content |= says;
                choice.other |= says;
            }
        }
    }
    Ok(())
}

/// The string here; `None` for what is none, which is passed.
fn string(cursor: &mut Cursor<'_>) -> Result<Option<Text>, Syntax> {
    if cursor.kind()? == Kind::String {
        return cursor.string().map(Some);
    }
    cursor.skip()?;
    Ok(None)
}
