use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use towpath_wire::routing::Priority;

use super::{Asker, Entered, FairQueue, PRIORITIES};
use crate::Id;

const ALL: [Priority; 3] = [Priority::Batch, Priority::Default, Priority::Interactive];

fn team(number: usize) -> Id {
    Id::from(format!("team_{number}"))
}

/// Let a call come; what it is called is what comes out again.
fn enter<T>(queue: &mut FairQueue<T>, who: (&Id, u32, Priority), most: u32, call: T) -> Entered<T> {
    let asker = Asker { team: who.0, weight: who.1, priority: who.2 };
    queue.enter(asker, most, 0, call)
}

/// A target that takes one call, and has it.
fn full<T>() -> FairQueue<T> {
    let mut queue = FairQueue::default();
    queue.resize(1);
    assert!(queue.take());
    queue
}

/// The call at the target ends, and the next one goes.
fn turn<T>(queue: &mut FairQueue<T>) -> Option<T> {
    queue.release();
    queue.turn()
}

#[test]
fn fifty_calls_of_one_team_do_not_hold_back_another_s() {
    let (busy, other) = (team(0), team(1));
    let mut queue = full();
    for call in 0..50 {
        enter(&mut queue, (&busy, 1, Priority::Batch), 200, call);
    }
    enter(&mut queue, (&other, 1, Priority::Default), 200, 1_000);
    let order: Vec<_> = std::iter::from_fn(|| turn(&mut queue)).collect();

    assert!(order[..2].contains(&1_000), "{order:?}");
    assert_eq!(order.len(), 51);
}

#[test]
fn within_a_team_somebody_at_a_screen_goes_before_work_that_came_earlier() {
    let only = team(0);
    let mut queue = full();
    for priority in ALL {
        enter(&mut queue, (&only, 1, priority), 200, priority);
    }
    let order: Vec<_> = std::iter::from_fn(|| turn(&mut queue)).collect();

    assert_eq!(order, [Priority::Interactive, Priority::Default, Priority::Batch]);
}

#[test]
fn a_team_that_fills_the_room_gives_up_places_for_others_and_its_own_more_urgent_calls() {
    let (busy, other) = (team(0), team(1));
    let mut queue = full();
    for call in 0..4 {
        enter(&mut queue, (&busy, 1, Priority::Batch), 4, call);
    }
    let one_more = enter(&mut queue, (&busy, 1, Priority::Batch), 4, 10);
    let chat = enter(&mut queue, (&busy, 1, Priority::Interactive), 4, 11);
    let others = enter(&mut queue, (&other, 1, Priority::Batch), 4, 12);

    assert_eq!(one_more, Entered::Refused);
    assert!(matches!(chat, Entered::Waits { displaced: Some(3), .. }), "{chat:?}");
    assert!(matches!(others, Entered::Waits { displaced: Some(2), .. }), "{others:?}");
    // Two each: to give one up for the other would only turn it round.
    enter(&mut queue, (&other, 1, Priority::Batch), 4, 13);
    assert_eq!(enter(&mut queue, (&other, 1, Priority::Batch), 4, 14), Entered::Refused);
}

#[test]
fn a_room_without_places_refuses() {
    let mut queue = full();

    assert_eq!(enter(&mut queue, (&team(0), 1, Priority::Interactive), 0, ()), Entered::Refused);
}

#[test]
fn more_capacity_lets_those_who_wait_go_before_those_who_come() {
    let only = team(0);
    let mut queue = full();
    enter(&mut queue, (&only, 1, Priority::Default), 200, 1);
    queue.resize(2);

    assert!(!queue.take());
    assert_eq!((queue.turn(), queue.turn()), (Some(1), None));
    assert_eq!((queue.in_use(), queue.queued()), (2, 0));
}

#[test]
fn the_wait_to_expect_is_that_of_the_oldest() {
    let only = team(0);
    let mut queue = full();
    let asker = Asker { team: &only, weight: 1, priority: Priority::Default };
    queue.enter(asker, 200, 1_000, ());
    queue.enter(asker, 200, 4_000, ());

    assert_eq!(queue.wait_ms(5_000), 4_000);
    turn(&mut queue);
    assert_eq!(queue.wait_ms(5_000), 1_000);
}

#[test]
fn a_team_is_owed_nothing_for_the_time_when_it_did_not_wait() {
    let (steady, late) = (team(0), team(1));
    let mut queue = full();
    for _ in 0..200 {
        enter(&mut queue, (&steady, 1, Priority::Default), 400, "steady");
    }
    for _ in 0..100 {
        turn(&mut queue);
    }
    for _ in 0..100 {
        enter(&mut queue, (&late, 1, Priority::Default), 400, "late");
    }
    let next: Vec<_> = (0..20).filter_map(|_| turn(&mut queue)).collect();

    assert_eq!(next.iter().filter(|call| **call == "late").count(), 10, "{next:?}");
}

/// How far two parties' turns for their weight may be apart: one call of each.
fn shared(turns: &[u32], weights: &[u32]) -> Result<(), TestCaseError> {
    let part = |index: usize| f64::from(turns[index]) / f64::from(weights[index]);
    for one in 0..turns.len() {
        for other in 0..one {
            let bound = 1.0 / f64::from(weights[one]) + 1.0 / f64::from(weights[other]);
            let apart = (part(one) - part(other)).abs();
            prop_assert!(apart <= bound + 1e-6, "{turns:?} for {weights:?}");
        }
    }
    Ok(())
}

/// What may happen at a target.
#[derive(Clone, Debug)]
enum Event {
    Comes {
        team: usize,
        priority: usize,
    },
    /// The waiting call at this place, counted around, gives up.
    Leaves(usize),
    Ends,
    Resize(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..4_usize, 0..3_usize).prop_map(|(team, priority)| Event::Comes { team, priority }),
        1 => any::<usize>().prop_map(Event::Leaves),
        4 => Just(Event::Ends),
        1 => (1..6_u32).prop_map(Event::Resize),
    ]
}

proptest! {
    /// While all of them wait, teams' turns follow their weights, whatever their priorities are.
    #[test]
    fn shares_of_teams_follow_weights(
        teams in prop::collection::vec((1_u32..20, 0..3_usize), 2..6),
        turns in 1_usize..300,
    ) {
        let mut queue = full();
        let ids: Vec<_> = (0..teams.len()).map(team).collect();
        let weights: Vec<_> = teams.iter().map(|(weight, _)| *weight).collect();
        let mut counts = vec![0; teams.len()];
        for (index, (weight, priority)) in teams.iter().enumerate() {
            for _ in 0..2 {
                enter(&mut queue, (&ids[index], *weight, ALL[*priority]), 1_000, index);
            }
        }
        for _ in 0..turns {
            let index = turn(&mut queue).unwrap();
            counts[index] += 1;
            let (weight, priority) = teams[index];
            enter(&mut queue, (&ids[index], weight, ALL[priority]), 1_000, index);
            shared(&counts, &weights)?;
        }
    }

    /// The same of a team's priorities.
    #[test]
    fn shares_of_priorities_follow_theirs(turns in 1_usize..300) {
        let only = team(0);
        let mut queue = full();
        for (index, priority) in ALL.into_iter().enumerate() {
            for _ in 0..2 {
                enter(&mut queue, (&only, 1, priority), 1_000, index);
            }
        }
        let mut counts = vec![0; ALL.len()];
        for _ in 0..turns {
            let index = turn(&mut queue).unwrap();
            counts[index] += 1;
            enter(&mut queue, (&only, 1, ALL[index]), 1_000, index);
            shared(&counts, &PRIORITIES)?;
        }
    }

    /// A call of the least weight and priority goes after a bounded number of others, however many come.
    #[test]
    fn nobody_starves(
        others in prop::collection::vec((1_u32..20, 0..3_usize), 1..6),
        before in 0_usize..50,
    ) {
        let mut queue = full();
        let meek = team(0);
        // Its own team's more urgent calls never end, either.
        let mut crowd: Vec<_> = others
            .iter()
            .enumerate()
            .map(|(index, (weight, priority))| (team(index + 1), *weight, ALL[*priority]))
            .collect();
        crowd.push((Id::clone(&meek), 1, Priority::Default));
        crowd.push((Id::clone(&meek), 1, Priority::Interactive));
        for (index, (id, weight, priority)) in crowd.iter().enumerate() {
            for _ in 0..2 {
                enter(&mut queue, (id, *weight, *priority), 1_000, Some(index));
            }
        }
        let refill = |queue: &mut FairQueue<_>, index: usize| {
            let (id, weight, priority) = &crowd[index];
            enter(queue, (id, *weight, *priority), 1_000, Some(index));
        };
        for _ in 0..before {
            let went = turn(&mut queue).unwrap().unwrap();
            refill(&mut queue, went);
        }
        enter(&mut queue, (&meek, 1, Priority::Batch), 1_000, None);
        let weights: u32 = others.iter().map(|(weight, _)| weight + 1).sum();
        // At most 8 + 4 of the team's own go first, and two for the bound of sharing each.
        let most = (12 + 4) * (1 + weights);
        let mut passed = 0;
        while let Some(index) = turn(&mut queue).unwrap() {
            refill(&mut queue, index);
            passed += 1;
            prop_assert!(passed <= most, "{passed} went first");
        }
    }

    /// Whatever happens: no more than fit, none idle while somebody waits, no more wait than may, every call
    /// has one outcome, and of one team and priority they go in the order in which they came.
    #[test]
    fn every_call_has_one_outcome_and_its_place(
        events in prop::collection::vec(event(), 1..200),
        most in 0_u32..12,
    ) {
        let mut queue = FairQueue::default();
        let mut capacity = 2;
        queue.resize(capacity);
        let mut running = 0;
        // Who waits, by team and priority, as it must be.
        let mut lines: BTreeMap<(usize, usize), VecDeque<(u64, u32)>> = BTreeMap::new();
        for (call, event) in (0_u32..).zip(events) {
            match event {
                Event::Comes { team: number, priority } => {
                    let id = team(number);
                    let line = (number, priority);
                    let who = (&id, u32::try_from(number).unwrap() + 1, ALL[priority]);
                    match enter(&mut queue, who, most, (line, call)) {
                        Entered::Now => running += 1,
                        Entered::Waits { ticket, displaced } => {
                            if let Some((from, lost)) = displaced {
                                let newest = lines.get_mut(&from).and_then(VecDeque::pop_back);
                                prop_assert_eq!(newest.map(|(_, call)| call), Some(lost));
                            }
                            lines.entry(line).or_default().push_back((ticket, call));
                        }
                        Entered::Refused => {
                            prop_assert!(queue.queued() >= most);
                        }
                    }
                }
                Event::Leaves(place) => {
                    let all: Vec<_> = lines
                        .iter()
                        .flat_map(|(line, calls)| calls.iter().map(|(t, call)| (*line, *t, *call)))
                        .collect();
                    if let Some((line, ticket, call)) = all.get(place % all.len().max(1)) {
                        prop_assert_eq!(queue.leave(*ticket), Some((*line, *call)));
                        prop_assert_eq!(queue.leave(*ticket), None);
                        lines.get_mut(line).unwrap().retain(|(other, _)| other != ticket);
                    }
                }
                Event::Ends if running > 0 => {
                    queue.release();
                    running -= 1;
                }
                Event::Ends => {}
                Event::Resize(to) => {
                    capacity = to;
                    queue.resize(to);
                }
            }
            while let Some((line, call)) = queue.turn() {
                running += 1;
                prop_assert!(running <= capacity);
                let first = lines.get_mut(&line).and_then(VecDeque::pop_front);
                prop_assert_eq!(first.map(|(_, call)| call), Some(call));
            }
            let waiting: usize = lines.values().map(VecDeque::len).sum();
            prop_assert_eq!(usize::try_from(queue.queued()).unwrap(), waiting);
            prop_assert_eq!(queue.in_use(), running);
            prop_assert!(waiting <= usize::try_from(most).unwrap());
            prop_assert!(waiting == 0 || running >= capacity, "idle though somebody waits");
        }
    }
}
