//! How much a subject may use in a period: a ledger of what is used and what calls in flight may use.
//!
//! Each call in flight is held at two figures: an estimate, and a bound that it cannot exceed. A hard budget
//! is kept by the bounds: what is used and all bounds together never exceed it. So that bounds which are
//! far too high fill no budget, a call whose bound is large beside what is left is given a lower one, but
//! never one near what it will probably use; only when that does not fit either is it refused.
//!
//! What is used comes from the control plane's ledger, up to a record of this gateway; records of its own
//! that are later are added here. So neither a restart nor a record that is shipped twice counts twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use towpath_wire::budget::BudgetState;
use towpath_wire::routing::{Budget, BudgetMode};

use crate::{Id, period_end, period_start};

/// A call may have this part of what is left without its bound being lowered.
const PART: u64 = 16;
/// A bound is never lowered below so many times the estimate while there is room for it.
const ROOM: u64 = 2;

/// A budget with what was used of it; the ledger is shared by all tables that have the budget.
#[derive(Clone, Debug)]
pub struct BudgetRule {
    pub id: Id,
    pub budget: Arc<Budget>,
    ledger: Arc<Mutex<Ledger>>,
}

/// The two latest periods: a call that came in before midnight may end after it.
#[derive(Debug, Default)]
struct Ledger {
    current: Account,
    former: Account,
    refused: u64,
    touched: bool,
}

/// One period.
#[derive(Debug, Default)]
struct Account {
    start_ms: i64,
    /// Used as the control plane's ledger has it.
    shipped: u64,
    /// The last record of this gateway in `shipped`.
    as_of: u64,
    /// Records of this gateway after `as_of`, by sequence, and their sum.
    own: BTreeMap<u64, u64>,
    own_sum: u64,
    /// Estimates and bounds of calls in flight.
    estimates: u64,
    bounds: u64,
}

/// What a call asks of a budget, in the budget's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// When the request came in.
    pub time_ms: i64,
    /// What it probably uses.
    pub estimate: u64,
    /// What it cannot exceed.
    pub bound: u64,
    /// The least bound it can be given instead, if it can be given one.
    pub least: u64,
}

/// What a call in flight holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    period_ms: i64,
    estimate: u64,
    /// What the call may use at most; lower than its own bound where that was too high.
    pub bound: u64,
}

/// Why a hard budget lets a call not through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// When the next period begins.
    pub until_ms: i64,
    /// There is money left, but calls in flight may use it up: there may be room when they end.
    pub held: bool,
}

/// Where a budget stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetStanding {
    pub used: u64,
    pub amount: u64,
    /// Estimates of calls in flight.
    pub reserved: u64,
    /// The part of `used` that the control plane does not have yet.
    pub unshipped: u64,
    /// Calls refused since the last signal.
    pub refused: u64,
    pub resets_at_ms: i64,
}

impl BudgetRule {
    pub(crate) fn new(id: Id, budget: Arc<Budget>) -> Self {
        Self { id, budget, ledger: Arc::default() }
    }

    /// The rule that follows when a budget is changed: what was used stays used.
    pub(crate) fn changed(&self, budget: Arc<Budget>) -> Self {
        let same = budget.subject == self.budget.subject
            && budget.period == self.budget.period
            && budget.tokens.is_some() == self.budget.tokens.is_some();
        if !same {
            return Self::new(Id::clone(&self.id), budget);
        }
        Self { id: Id::clone(&self.id), budget, ledger: Arc::clone(&self.ledger) }
    }

    /// Whether money is counted; tokens otherwise.
    pub fn is_money(&self) -> bool {
        self.budget.cost_nano.is_some()
    }

    pub fn is_hard(&self) -> bool {
        self.budget.mode == BudgetMode::Hard
    }

    pub fn amount(&self) -> u64 {
        self.budget.cost_nano.or(self.budget.tokens).unwrap_or(0)
    }

    /// Hold what a call may use. `gateways` share what is left.
    ///
    /// # Errors
    /// The budget is hard and used up, or what is left is held by others.
    pub fn reserve(&self, claim: &Claim, gateways: u32) -> Result<Grant, Exhausted> {
        let mut ledger = self.lock();
        ledger.touched = true;
        let start = period_start(self.budget.period, claim.time_ms);
        let Some(account) = ledger.account(start) else {
            // Older than both periods: the control plane counts it, where it still matters.
            return Ok(Grant { period_ms: start, estimate: 0, bound: claim.bound });
        };
        let bound = if self.is_hard() {
            match account.bound_for(claim, self.amount(), gateways) {
                Ok(bound) => bound,
                Err(held) => {
                    ledger.refused += 1;
                    let until_ms = period_end(self.budget.period, claim.time_ms);
                    return Err(Exhausted { until_ms, held });
                }
            }
        } else {
            claim.bound
        };
        account.estimates = account.estimates.saturating_add(claim.estimate);
        account.bounds = account.bounds.saturating_add(bound);
        Ok(Grant { period_ms: start, estimate: claim.estimate, bound })
    }

    /// The call is over and used so much, as its record of this sequence says; 0: it has no record.
    pub fn settle(&self, grant: &Grant, sequence: u64, used: u64) {
        let mut ledger = self.lock();
        ledger.touched = true;
        let Some(account) = ledger.account(grant.period_ms) else { return };
        account.estimates = account.estimates.saturating_sub(grant.estimate);
        account.bounds = account.bounds.saturating_sub(grant.bound);
        account.add(sequence, used);
    }

    /// Count a record that was found in the journal at start.
    pub fn recover(&self, time_ms: i64, sequence: u64, used: u64) {
        let mut ledger = self.lock();
        if let Some(account) = ledger.account(period_start(self.budget.period, time_ms)) {
            account.add(sequence, used);
        }
    }

    /// Take in what the control plane's ledger has, as of a record of this gateway.
    pub fn learn(&self, state: &BudgetState, gateway_id: &str) {
        let mut ledger = self.lock();
        let as_of = state.as_of.get(gateway_id).copied().unwrap_or(0);
        let Some(account) = ledger.account(state.period_start_ms) else { return };
        if as_of < account.as_of || (as_of == account.as_of && state.used < account.shipped) {
            // Answers may overtake each other; the later one stands.
            return;
        }
        (account.shipped, account.as_of) = (state.used, as_of);
        account.own = account.own.split_off(&as_of.saturating_add(1));
        account.own_sum = account.own.values().sum();
    }

    /// Where it stands in the period that holds a time.
    pub fn standing(&self, now_ms: i64) -> BudgetStanding {
        let mut ledger = self.lock();
        let refused = ledger.refused;
        let amount = self.amount();
        let resets_at_ms = period_end(self.budget.period, now_ms);
        let start = period_start(self.budget.period, now_ms);
        ledger.account(start).map_or_else(BudgetStanding::default, |account| BudgetStanding {
            used: account.used(),
            amount,
            reserved: account.estimates,
            unshipped: account.own_sum,
            refused,
            resets_at_ms,
        })
    }

    /// Where it stands, if anything touched it since the last time this was asked or is in flight.
    pub fn taken(&self, now_ms: i64) -> Option<BudgetStanding> {
        let standing = self.standing(now_ms);
        let mut ledger = self.lock();
        ledger.refused = 0;
        let touched = std::mem::take(&mut ledger.touched);
        (touched || standing.reserved > 0).then_some(standing)
    }

    /// A soft budget's share in percent, where it is at or above what it warns from.
    pub fn warning(&self, now_ms: i64) -> Option<u64> {
        if self.is_hard() {
            return None;
        }
        let BudgetStanding { used, amount, .. } = self.standing(now_ms);
        let share = u128::from(used) * 100 / u128::from(amount.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        (share >= u64::from(self.budget.warn_percent)).then_some(share)
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // All updates leave sums that are right, whether or not a thread panicked later.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// The account of a period, made where the period is new; `None` for those long past.
    fn account(&mut self, start_ms: i64) -> Option<&mut Account> {
        if start_ms > self.current.start_ms {
            let next = Account { start_ms, as_of: 0, ..Account::default() };
            self.former = std::mem::replace(&mut self.current, next);
        }
        if start_ms == self.current.start_ms {
            return Some(&mut self.current);
        }
        (start_ms == self.former.start_ms).then_some(&mut self.former)
    }
}

impl Account {
    fn used(&self) -> u64 {
        self.shipped.saturating_add(self.own_sum)
    }

    fn add(&mut self, sequence: u64, used: u64) {
        if used > 0 && sequence > self.as_of && self.own.insert(sequence, used).is_none() {
            self.own_sum = self.own_sum.saturating_add(used);
        }
    }

    /// The bound a call gets; an error says whether only calls in flight are in its way.
    fn bound_for(&self, claim: &Claim, amount: u64, gateways: u32) -> Result<u64, bool> {
        let part = amount.saturating_sub(self.shipped) / u64::from(gateways.max(1));
        let unused = part.saturating_sub(self.own_sum);
        let left = unused.saturating_sub(self.bounds);
        let least = claim.least.max(claim.estimate).min(claim.bound).max(1);
        if left < least {
            let only_bounds = unused.saturating_sub(self.estimates) >= least;
            return Err(only_bounds);
        }
        let room = claim.estimate.max(claim.least).saturating_mul(ROOM).max(left / PART);
        Ok(claim.bound.min(room).min(left))
    }
}

#[cfg(test)]
mod tests;
