//! How fast a subject may ask: rates and calls in flight, exact under concurrency.
//!
//! A rate is a generic cell rate algorithm: one number, the time at which everything let through so far
//! would have been earned. It is moved by compare-and-swap, so that whatever threads do, in any window of
//! length t at most `burst + limit · t` pass, and none is refused that the formula allows.
//!
//! What was used lives in a [`Meter`] that tables hand on from one to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use towpath_wire::routing::{Limit, Rate};

use crate::Id;

/// A point in time since an origin that the caller chooses and keeps.
///
/// Counted in 64ths of a nanosecond: fine enough that the rounding of a rate's period stays far below a
/// millionth of it up to a million per second, coarse enough for nine years of uptime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

const PER_NANO: u64 = 64;
const SECOND: u64 = 1_000_000_000 * PER_NANO;
const MINUTE: u64 = 60 * SECOND;
/// No debt reaches further than this: sums stay far below overflow.
const FURTHEST: u64 = u64::MAX / 4;

impl Moment {
    /// The moment so long after the origin.
    pub fn after(origin: Duration) -> Self {
        let nanos = u64::try_from(origin.as_nanos()).unwrap_or(u64::MAX);
        Self(nanos.saturating_mul(PER_NANO).min(FURTHEST))
    }
}

/// A span of ticks as a duration, rounded up.
fn duration(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.div_ceil(PER_NANO))
}

/// What of a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    RequestsPerSecond,
    RequestsPerMinute,
    TokensPerMinute,
    Concurrency,
}

impl Counted {
    pub const ALL: [Self; 4] = [
        Self::RequestsPerSecond,
        Self::RequestsPerMinute,
        Self::TokensPerMinute,
        Self::Concurrency,
    ];

    /// As it stands in refusals, headers and figures.
    pub fn words(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests per second",
            Self::RequestsPerMinute => "requests per minute",
            Self::TokensPerMinute => "tokens per minute",
            Self::Concurrency => "calls at a time",
        }
    }
}

/// A rate as this gateway keeps to it.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Ticks that one unit takes to earn.
    unit: u64,
    /// How far ahead of now the earned time may be: the burst.
    ahead: u64,
}

impl Pace {
    /// The `gateways`-th part of a rate per `period`, at least one unit at once.
    fn of(rate: Rate, period: u64, default_burst: u64, gateways: u32) -> Self {
        let limit = u128::from(rate.limit.max(1));
        let burst = rate.burst.unwrap_or(default_burst).max(1);
        let part = |gateways: u32| {
            let ticks = (u128::from(period) * u128::from(gateways.max(1))).div_ceil(limit);
            u64::try_from(ticks).unwrap_or(u64::MAX).min(FURTHEST)
        };
        let unit = part(gateways);
        // In time the burst is the same whatever the part: burst / n units of n times the length.
        let ahead = part(1).saturating_mul(burst).min(FURTHEST).max(unit);
        Self { unit, ahead }
    }

    fn ticks(&self, units: u64) -> u64 {
        self.unit.saturating_mul(units).min(FURTHEST)
    }

    /// How long until so many units pass; `None`: now. More than the burst pass when nothing is owed,
    /// and are paid off afterwards.
    fn wait(&self, earned: u64, units: u64, now: u64) -> Option<u64> {
        let needed = self.ticks(units).min(self.ahead);
        let free = earned.max(now).saturating_add(needed).saturating_sub(self.ahead);
        free.checked_sub(now).filter(|wait| *wait > 0)
    }

    fn take(&self, earned: &AtomicU64, units: u64, now: u64) -> Result<(), u64> {
        let mut wait = 0;
        let taken = earned.fetch_update(Ordering::AcqRel, Ordering::Acquire, |earned| {
            match self.wait(earned, units, now) {
                Some(more) => {
                    wait = more;
                    None
                }
                None => Some(earned.max(now).saturating_add(self.ticks(units)).min(FURTHEST)),
            }
        });
        taken.map(|_| ()).map_err(|_| wait)
    }

    /// Units too many: the time they took is given back, though never into the past.
    fn give_back(&self, earned: &AtomicU64, units: u64, now: u64) {
        let ticks = self.ticks(units);
        let _ = earned.fetch_update(Ordering::AcqRel, Ordering::Acquire, |earned| {
            (earned > now).then(|| earned.saturating_sub(ticks).max(now))
        });
    }

    /// Units that were used without having been asked for: a debt.
    fn charge(&self, earned: &AtomicU64, units: u64, now: u64) {
        let ticks = self.ticks(units);
        let _ = earned.fetch_update(Ordering::AcqRel, Ordering::Acquire, |earned| {
            Some(earned.max(now).saturating_add(ticks).min(FURTHEST))
        });
    }
}

/// What was used of one limit; shared by all tables that have it. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Meter {
    per_second: AtomicU64,
    per_minute: AtomicU64,
    tokens: AtomicU64,
    in_flight: AtomicU32,
    refused: AtomicU64,
    touched: AtomicBool,
}

/// A limit with what was used of it.
#[derive(Clone, Debug)]
pub struct LimitRule {
    pub id: Id,
    pub limit: Arc<Limit>,
    meter: Arc<Meter>,
}

/// What one call asks of every limit that applies to it.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub now: Moment,
    /// Input and output together, estimated.
    pub tokens: u64,
    /// Gateways that share every limit.
    pub gateways: u32,
}

/// Why a limit lets a call not through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    pub counted: Counted,
    /// When there is room again; `None`: when a call in flight ends, or, for tokens, never for a call of
    /// this size.
    pub wait: Option<Duration>,
    /// The call alone asks for more than a whole minute has.
    pub too_large: bool,
}

/// Where one rate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    /// What could be had at once.
    pub remaining: u64,
    /// Until nothing is used.
    pub reset: Duration,
}

/// Where a limit stands, for signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub in_flight: u32,
    pub requests_left: Option<u64>,
    pub tokens_left: Option<u64>,
    /// Since the last time this was asked.
    pub refused: u64,
}

impl LimitRule {
    /// A limit that nothing was used of yet.
    pub(crate) fn new(id: Id, limit: Arc<Limit>) -> Self {
        Self { id, limit, meter: Arc::default() }
    }

    /// The rule that follows when a limit is changed: what was used stays used.
    pub(crate) fn changed(&self, limit: Arc<Limit>) -> Self {
        if limit.subject != self.limit.subject {
            return Self::new(Id::clone(&self.id), limit);
        }
        Self { id: Id::clone(&self.id), limit, meter: Arc::clone(&self.meter) }
    }

    /// Express what was used under `former` in this rule's rates.
    pub(crate) fn take_over(&self, former: &Limit, now: Moment) {
        for counted in
            [Counted::RequestsPerSecond, Counted::RequestsPerMinute, Counted::TokensPerMinute]
        {
            let (Some(was), Some(is)) = (rate_of(former, counted), rate_of(&self.limit, counted))
            else {
                continue;
            };
            if was.limit == is.limit {
                continue;
            }
            let unit = |rate| pace_of(rate, counted, 1).unit;
            let (was_unit, is_unit) = (unit(was), unit(is));
            let _ =
                self.earned(counted).fetch_update(Ordering::AcqRel, Ordering::Acquire, |earned| {
                    let owed = u128::from(earned.checked_sub(now.0)?);
                    let owed = owed * u128::from(is_unit) / u128::from(was_unit.max(1));
                    let owed = u64::try_from(owed).unwrap_or(FURTHEST);
                    Some(now.0.saturating_add(owed).min(FURTHEST))
                });
        }
    }

    /// Whether the call would pass; takes nothing.
    ///
    /// # Errors
    /// The part of the limit that keeps it longest.
    pub fn check(&self, ask: &Ask) -> Result<(), Full> {
        let mut worst: Option<Full> = None;
        for counted in Counted::ALL {
            if let Err(full) = self.check_one(counted, ask)
                && worst.is_none_or(|worst| outlasts(&full, &worst))
            {
                worst = Some(full);
            }
        }
        worst.map_or(Ok(()), Err)
    }

    fn check_one(&self, counted: Counted, ask: &Ask) -> Result<(), Full> {
        if counted == Counted::Concurrency {
            let most = self.most_in_flight(ask.gateways);
            let full = most.is_some_and(|m| self.meter.in_flight.load(Ordering::Acquire) >= m);
            return if full { Err(Full::of(counted, None)) } else { Ok(()) };
        }
        let Some((pace, units)) = self.asked(counted, ask) else { return Ok(()) };
        if self.too_large(counted, units) {
            return Err(Full { counted, wait: None, too_large: true });
        }
        match pace.wait(self.earned(counted).load(Ordering::Acquire), units, ask.now.0) {
            Some(wait) => Err(Full::of(counted, Some(wait))),
            None => Ok(()),
        }
    }

    /// Take what the call asks for, all or nothing.
    ///
    /// # Errors
    /// There is no room; nothing was taken.
    pub fn take(&self, ask: &Ask) -> Result<(), Full> {
        self.meter.touched.store(true, Ordering::Relaxed);
        for (index, counted) in Counted::ALL.into_iter().enumerate() {
            if let Err(full) = self.take_one(counted, ask) {
                for taken in &Counted::ALL[..index] {
                    self.give_one_back(*taken, ask);
                }
                return Err(full);
            }
        }
        Ok(())
    }

    fn take_one(&self, counted: Counted, ask: &Ask) -> Result<(), Full> {
        if counted == Counted::Concurrency {
            let most = self.most_in_flight(ask.gateways).unwrap_or(u32::MAX);
            let taken = self.meter.in_flight.fetch_update(
                Ordering::AcqRel,
                Ordering::Acquire,
                |in_flight| (in_flight < most).then(|| in_flight + 1),
            );
            return taken.map(|_| ()).map_err(|_| Full::of(counted, None));
        }
        let Some((pace, units)) = self.asked(counted, ask) else { return Ok(()) };
        if self.too_large(counted, units) {
            return Err(Full { counted, wait: None, too_large: true });
        }
        let taken = pace.take(self.earned(counted), units, ask.now.0);
        taken.map_err(|wait| Full::of(counted, Some(wait)))
    }

    /// Undo a take whose call is not made after all.
    pub fn give_back(&self, ask: &Ask) {
        for counted in Counted::ALL {
            self.give_one_back(counted, ask);
        }
    }

    fn give_one_back(&self, counted: Counted, ask: &Ask) {
        if counted == Counted::Concurrency {
            self.leave();
        } else if let Some((pace, units)) = self.asked(counted, ask) {
            pace.give_back(self.earned(counted), units, ask.now.0);
        }
    }

    /// The call is over: it is no longer in flight, and it used `used` tokens where `ask` estimated.
    pub fn settle(&self, ask: &Ask, used: u64, now: Moment) {
        self.leave();
        let now_asked = Ask { now, ..*ask };
        if let Some((pace, reserved)) = self.asked(Counted::TokensPerMinute, &now_asked) {
            let earned = self.earned(Counted::TokensPerMinute);
            if used < reserved {
                pace.give_back(earned, reserved - used, now.0);
            } else if used > reserved {
                pace.charge(earned, used - reserved, now.0);
            }
        }
    }

    fn leave(&self) {
        self.meter.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    /// Note that the limit refused a call.
    pub fn refused(&self) {
        self.meter.refused.fetch_add(1, Ordering::Relaxed);
        self.meter.touched.store(true, Ordering::Relaxed);
    }

    /// Where one of its rates stands; `None`: it has no such rate.
    pub fn standing(&self, counted: Counted, now: Moment, gateways: u32) -> Option<Standing> {
        let rate = rate_of(&self.limit, counted)?;
        let pace = pace_of(rate, counted, gateways);
        let owed = self.earned(counted).load(Ordering::Acquire).saturating_sub(now.0);
        let remaining = pace.ahead.saturating_sub(owed) / pace.unit.max(1);
        Some(Standing { limit: rate.limit, remaining, reset: duration(owed) })
    }

    /// Where it stands, if anything touched it since the last time this was asked or is in flight.
    pub fn taken(&self, now: Moment, gateways: u32) -> Option<Taken> {
        let in_flight = self.meter.in_flight.load(Ordering::Relaxed);
        if !self.meter.touched.swap(false, Ordering::Relaxed) && in_flight == 0 {
            return None;
        }
        let left = |counted| self.standing(counted, now, gateways).map(|s| s.remaining);
        let requests = [Counted::RequestsPerSecond, Counted::RequestsPerMinute];
        Some(Taken {
            in_flight,
            requests_left: requests.into_iter().filter_map(left).min(),
            tokens_left: left(Counted::TokensPerMinute),
            refused: self.meter.refused.swap(0, Ordering::Relaxed),
        })
    }

    /// Most calls in flight that this gateway lets through.
    pub fn most_in_flight(&self, gateways: u32) -> Option<u32> {
        self.limit.concurrency.map(|most| (most / gateways.max(1)).max(1))
    }

    fn too_large(&self, counted: Counted, units: u64) -> bool {
        let rate = self.limit.tokens_per_minute.filter(|_| counted == Counted::TokensPerMinute);
        rate.is_some_and(|rate| units > rate.limit.max(rate.burst.unwrap_or(0)))
    }

    fn asked(&self, counted: Counted, ask: &Ask) -> Option<(Pace, u64)> {
        let rate = rate_of(&self.limit, counted)?;
        let units = if counted == Counted::TokensPerMinute { ask.tokens } else { 1 };
        Some((pace_of(rate, counted, ask.gateways), units))
    }

    fn earned(&self, counted: Counted) -> &AtomicU64 {
        match counted {
            Counted::RequestsPerSecond => &self.meter.per_second,
            Counted::RequestsPerMinute => &self.meter.per_minute,
            Counted::TokensPerMinute | Counted::Concurrency => &self.meter.tokens,
        }
    }
}

impl Full {
    fn of(counted: Counted, wait: Option<u64>) -> Self {
        Self { counted, wait: wait.map(duration), too_large: false }
    }
}

/// Whether one refusal keeps a call longer than another.
fn outlasts(full: &Full, other: &Full) -> bool {
    (full.too_large, full.wait) > (other.too_large, other.wait)
}

fn rate_of(limit: &Limit, counted: Counted) -> Option<Rate> {
    match counted {
        Counted::RequestsPerSecond => limit.requests_per_second,
        Counted::RequestsPerMinute => limit.requests_per_minute,
        Counted::TokensPerMinute => limit.tokens_per_minute,
        Counted::Concurrency => None,
    }
}

fn pace_of(rate: Rate, counted: Counted, gateways: u32) -> Pace {
    match counted {
        Counted::RequestsPerSecond => Pace::of(rate, SECOND, rate.limit / 10, gateways),
        _ => Pace::of(rate, MINUTE, rate.limit / 12, gateways),
    }
}

/// Take what a call asks for from every limit that applies, all or nothing.
///
/// # Errors
/// The limit that keeps the call longest, and why; nothing was taken.
pub fn take_all<'r>(
    rules: impl Iterator<Item = &'r LimitRule> + Clone,
    ask: &Ask,
) -> Result<(), (&'r LimitRule, Full)> {
    // Looked at first, so that a call which one limit refuses does not disturb the others.
    let mut worst: Option<(&LimitRule, Full)> = None;
    for rule in rules.clone() {
        if let Err(full) = rule.check(ask)
            && worst.is_none_or(|(_, worst)| outlasts(&full, &worst))
        {
            worst = Some((rule, full));
        }
    }
    if let Some((rule, full)) = worst {
        rule.refused();
        return Err((rule, full));
    }
    for (index, rule) in rules.clone().enumerate() {
        if let Err(full) = rule.take(ask) {
            for taken in rules.take(index) {
                taken.give_back(ask);
            }
            rule.refused();
            return Err((rule, full));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
