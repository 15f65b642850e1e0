//! Figures of targets and endpoints, taken from their state when they are asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use towpath_wire::signals::{Breaker, ShadowSignal};

use super::{escaped, head};
use crate::live::Live;

/// One target's replicas. Targets of one name are counted together.
#[derive(Default)]
struct Replicas {
    closed: u64,
    open: u64,
    half_open: u64,
    in_flight: u64,
    ejections: u64,
    waiting: u64,
    queued: u64,
}

/// Append the figures of all targets and endpoints of the table.
pub fn render(out: &mut String, live: &Live) {
    let mut targets: BTreeMap<&str, Replicas> = BTreeMap::new();
    for ready in live.targets() {
        let sum = targets.entry(ready.target.spec.name.as_str()).or_default();
        sum.waiting += u64::from(ready.state.waiting.load(Ordering::Relaxed));
        sum.queued += u64::from(ready.state.room.queued());
        for replica in &ready.replicas {
            match replica.state.breaker() {
                Breaker::Closed => sum.closed += 1,
                Breaker::Open => sum.open += 1,
                Breaker::HalfOpen => sum.half_open += 1,
            }
            sum.in_flight += u64::from(replica.state.in_flight());
            sum.ejections += replica.state.ejections();
        }
    }
    let name = "towpath_gateway_target_replicas";
    head(out, name, "gauge", "Replicas of a target by the state of their breakers.");
    for (target, sum) in &targets {
        let states = [("closed", sum.closed), ("open", sum.open), ("half_open", sum.half_open)];
        for (breaker, count) in states {
            let target = escaped(target);
            let _ = writeln!(out, "{name}{{target=\"{target}\",breaker=\"{breaker}\"}} {count}");
        }
    }
    type Figure = fn(&Replicas) -> u64;
    let figures: [(&str, &str, &str, Figure); 4] = [
        ("in_flight", "gauge", "Calls at a target's replicas.", |sum| sum.in_flight),
        ("waiting", "gauge", "Calls that wait for a target to be woken.", |sum| sum.waiting),
        ("queued", "gauge", "Calls that wait for room at a target.", |sum| sum.queued),
        ("ejections_total", "counter", "Ejections of a target's present replicas.", |sum| {
            sum.ejections
        }),
    ];
    for (name, kind, help, figure) in figures {
        let name = format!("towpath_gateway_target_{name}");
        head(out, &name, kind, help);
        for (target, sum) in &targets {
            let _ = writeln!(out, "{name}{{target=\"{}\"}} {}", escaped(target), figure(sum));
        }
    }
    render_shadows(out, live);
    render_retries(out, live);
}

/// Copies of calls, of targets whose candidates got any.
fn render_shadows(out: &mut String, live: &Live) {
    let mut targets: BTreeMap<&str, ShadowSignal> = BTreeMap::new();
    for ready in live.targets() {
        let Some(tally) = ready.state.shadowed() else { continue };
        let (sum, more) = (targets.entry(&ready.target.spec.name).or_default(), tally.signal());
        sum.calls += more.calls;
        sum.failed += more.failed;
        sum.compared += more.compared;
        sum.different += more.different;
        sum.skipped += more.skipped;
    }
    let mut write = |name: &str, help: &str, outcomes: fn(&ShadowSignal) -> Vec<(&str, u64)>| {
        head(out, name, "counter", help);
        for (target, sum) in &targets {
            let target = escaped(target);
            for (outcome, count) in outcomes(sum) {
                let _ =
                    writeln!(out, "{name}{{target=\"{target}\",outcome=\"{outcome}\"}} {count}");
            }
        }
    };
    write("towpath_gateway_shadow_calls_total", "Copies of calls for candidates.", |sum| {
        let answered = sum.calls.saturating_sub(sum.failed);
        vec![("answered", answered), ("failed", sum.failed), ("skipped", sum.skipped)]
    });
    write(
        "towpath_gateway_shadow_compared_total",
        "Answers to copies that were compared.",
        |sum| {
            let same = sum.compared.saturating_sub(sum.different);
            vec![("same", same), ("different", sum.different)]
        },
    );
}

fn render_retries(out: &mut String, live: &Live) {
    let mut endpoints: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (_, ready) in live.endpoints() {
        let name = ready.name.to_str().unwrap_or_default();
        let sum = endpoints.entry(name).or_default();
        sum.0 += ready.state.retried.load(Ordering::Relaxed);
        sum.1 += ready.state.not_retried.load(Ordering::Relaxed);
    }
    let name = "towpath_gateway_retries_total";
    head(out, name, "counter", "Further attempts at a target that had failed the call before.");
    for (endpoint, (made, denied)) in &endpoints {
        let endpoint = escaped(endpoint);
        let _ = writeln!(out, "{name}{{endpoint=\"{endpoint}\",outcome=\"made\"}} {made}");
        let _ = writeln!(out, "{name}{{endpoint=\"{endpoint}\",outcome=\"no_budget\"}} {denied}");
    }
}
