//! The time limits of one call.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use towpath_wire::routing::Timeouts;

use crate::errors::{Phase, UpstreamError};

/// One timer for all limits. It is not moved when a chunk comes: when it fires, the limit that holds by
/// then is worked out, and the timer is set again if that lies ahead.
#[derive(Debug)]
pub(crate) struct Clock {
    timeouts: Timeouts,
    started: Instant,
    /// Since when the current phase counts.
    since: Instant,
    phase: Phase,
    sleep: Pin<Box<Sleep>>,
}

impl Clock {
    pub(crate) fn start(timeouts: Timeouts) -> Self {
        let now = Instant::now();
        let first = now + Duration::from_millis(timeouts.connect_ms.into());
        Self {
            timeouts,
            started: now,
            since: now,
            phase: Phase::Connect,
            sleep: Box::pin(sleep_until(first)),
        }
    }

    pub(crate) fn now_in(&self) -> Phase {
        self.phase
    }

    /// Begin a phase, or begin it anew.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
        let (deadline, _, _) = self.deadline();
        if deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    fn limit(&self) -> u32 {
        match self.phase {
            Phase::Connect => self.timeouts.connect_ms,
            Phase::FirstByte => self.timeouts.first_byte_ms,
            Phase::Silence => self.timeouts.silence_ms,
            Phase::Total => self.timeouts.total_ms,
        }
    }

    fn deadline(&self) -> (Instant, Phase, u32) {
        let limit = self.limit();
        let phase = self.since + Duration::from_millis(limit.into());
        let total = self.started + Duration::from_millis(self.timeouts.total_ms.into());
        if total < phase {
            (total, Phase::Total, self.timeouts.total_ms)
        } else {
            (phase, self.phase, limit)
        }
    }

    /// Ready when a limit is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamError> {
        loop {
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let (deadline, phase, limit_ms) = self.deadline();
            if Instant::now() >= deadline {
                return Poll::Ready(UpstreamError::Timeout { phase, limit_ms });
            }
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Run something under the limits.
    pub(crate) async fn limit_to<T>(
        &mut self,
        future: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Pending => self.poll(cx).map(Err),
            ready => ready,
        })
        .await
    }
}
