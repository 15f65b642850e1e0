use std::sync::Arc;
use std::time::Duration;

use super::{BodyMemory, Calls, Used, reserve};
use crate::live::EndpointState;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn calls_beyond_the_limit_are_refused_until_one_settles() {
    let (calls, endpoint) = (Arc::new(Calls::new(1)), Arc::new(EndpointState::default()));
    let first = reserve(&calls, &endpoint).unwrap();
    let Err(second) = reserve(&calls, &endpoint) else { panic!("was let through") };
    first.settle(Used::default());

    assert_eq!(second.code.code(), "overloaded");
    assert!(reserve(&calls, &endpoint).is_ok());
    assert_eq!(calls.in_flight(), 0);
}

#[tokio::test]
async fn a_lease_waits_for_memory_that_another_gives_back() {
    let memory = Arc::new(BodyMemory::new(100));
    let mut first = memory.lease();
    first.grow_to(80, SHORT).await.unwrap();
    let mut second = memory.lease();
    let (grown, ()) = tokio::join!(second.grow_to(50, LONG), async { drop(first) });

    assert!(grown.is_ok());
    assert_eq!(memory.used(), 50);
}

#[tokio::test]
async fn a_lease_that_waits_in_vain_is_refused_and_leaks_nothing() {
    let memory = Arc::new(BodyMemory::new(100));
    let mut first = memory.lease();
    first.grow_to(80, SHORT).await.unwrap();
    let mut second = memory.lease();
    second.grow_to(10, SHORT).await.unwrap();
    let refused = second.grow_to(50, SHORT).await.unwrap_err();
    drop((first, second));

    assert_eq!(refused.status, 503);
    assert_eq!(memory.used(), 0);
}
