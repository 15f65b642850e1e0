//! Streams, followed by one interface whatever the caller and the target speak.

use bytes::Bytes;

use crate::answer::Usage;
use crate::errors::{ErrorBody, UpstreamFault};
use crate::recovery::Begun;
use crate::stream::{End, Fed, StreamMeter};
use crate::transcription::TranscriptMeter;
use crate::translation::{Sink, Translation};
use crate::typed::{Grammar, TypedMeter};
use crate::{chat, messages};

/// Follows one stream from a target's dialect into the caller's.
#[derive(Debug)]
pub struct Follower(Kind);

#[derive(Debug)]
enum Kind {
    OpenAi(StreamMeter),
    Typed(TypedMeter),
    Translated(Box<Translation>),
    Transcript(Box<TranscriptMeter>),
}

impl Follower {
    pub(crate) fn open_ai(meter: StreamMeter) -> Self {
        Self(Kind::OpenAi(meter))
    }

    pub(crate) fn typed(meter: TypedMeter) -> Self {
        Self(Kind::Typed(meter))
    }

    pub(crate) fn translated(translation: Translation) -> Self {
        Self(Kind::Translated(Box::new(translation)))
    }

    pub(crate) fn transcript(meter: TranscriptMeter) -> Self {
        Self(Kind::Transcript(Box::new(meter)))
    }

    /// Follow one more chunk of the upstream's body.
    pub fn feed(&mut self, chunk: Bytes) -> Fed {
        match &mut self.0 {
            Kind::OpenAi(meter) => meter.feed(chunk),
            Kind::Typed(meter) => meter.feed(chunk),
            Kind::Translated(translation) => translation.feed(chunk),
            Kind::Transcript(meter) => meter.feed(chunk),
        }
    }

    /// The last bytes for the caller, if the stream is whole.
    ///
    /// # Errors
    /// The stream ended early.
    pub fn finish(&mut self, end: End) -> Result<Bytes, UpstreamFault> {
        let left = self.text().len();
        let finished = self.finished(end);
        if finished.is_err() {
            // An event that was not whole until now has not left.
            match &mut self.0 {
                Kind::OpenAi(meter) => meter.unsay(left),
                Kind::Typed(meter) => meter.unsay(left),
                Kind::Translated(translation) => translation.unsay(left),
                Kind::Transcript(_) => {}
            }
        }
        finished
    }

    fn finished(&mut self, end: End) -> Result<Bytes, UpstreamFault> {
        match &mut self.0 {
            Kind::OpenAi(meter) => meter.finish(end),
            Kind::Typed(meter) => meter.finish(end),
            Kind::Translated(translation) => translation.finish(end),
            Kind::Transcript(meter) => meter.finish(end),
        }
    }

    /// The last bytes for the caller of a stream that cannot go on: an error event, and no end.
    pub fn fail(&mut self, error: &ErrorBody<'_>) -> Bytes {
        match &mut self.0 {
            Kind::OpenAi(_) | Kind::Transcript(_) => error.sse_event(),
            Kind::Typed(meter) => match meter.grammar() {
                Grammar::Messages => error.anthropic_event(),
                Grammar::Responses | Grammar::Transcripts => error.sse_event(),
            },
            Kind::Translated(translation) => translation.fail(error),
        }
    }

    /// An event that says something has come: the status may go out; the first-byte timeout is over.
    pub fn started(&self) -> bool {
        match &self.0 {
            Kind::OpenAi(meter) => meter.started(),
            Kind::Typed(meter) => meter.started(),
            Kind::Translated(translation) => translation.started(),
            Kind::Transcript(meter) => meter.started(),
        }
    }

    /// What the upstream has reported so far.
    pub fn usage(&self) -> Option<Usage> {
        match &self.0 {
            Kind::OpenAi(meter) => meter.usage(),
            Kind::Typed(meter) => meter.usage(),
            Kind::Translated(translation) => translation.usage(),
            Kind::Transcript(meter) => meter.usage(),
        }
    }

    /// Events with content so far: about one token each.
    pub fn content_events(&self) -> u64 {
        match &self.0 {
            Kind::OpenAi(meter) => meter.content_events(),
            Kind::Typed(meter) => meter.content_events(),
            Kind::Translated(translation) => translation.content_events(),
            Kind::Transcript(meter) => meter.content_events(),
        }
    }

    /// What has left, for a target that goes on with it; `used` is what it has used so far. `None` where no
    /// model can: there is more than text, or an ending, or the text was not kept.
    pub fn begun(&self, used: Usage) -> Option<Begun> {
        let (said, sink) = match &self.0 {
            Kind::OpenAi(meter) => {
                let (head, wants_usage) = meter.head();
                (meter.said(), Sink::Chat(chat::Writer::going_on(head, wants_usage)))
            }
            Kind::Typed(meter) => {
                (meter.said(), Sink::Messages(messages::Writer::going_on(meter.block()?)))
            }
            Kind::Translated(translation) => (translation.said(), translation.sink().clone()),
            // What was heard is not written on without the sound.
            Kind::Transcript(_) => return None,
        };
        Begun::new(said.clone(), sink, used)
    }

    /// What the first choice has said so far; empty unless it was to be kept.
    pub fn text(&self) -> &str {
        match &self.0 {
            Kind::OpenAi(meter) => meter.text(),
            Kind::Typed(meter) => meter.text(),
            Kind::Translated(translation) => translation.text(),
            Kind::Transcript(meter) => meter.text(),
        }
    }
}
