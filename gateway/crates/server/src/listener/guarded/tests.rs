use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::Guarded;

#[tokio::test]
async fn a_write_nobody_reads_is_given_up() {
    let (near, far) = duplex(4);
    let mut guarded = Guarded::new(near, Duration::from_millis(10));
    let error = guarded.write_all(b"more than fits").await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(far);
}

#[tokio::test]
async fn a_write_that_is_read_in_time_goes_through() {
    let (near, mut far) = duplex(4);
    let mut guarded = Guarded::new(near, Duration::from_secs(20));
    let reading = tokio::spawn(async move {
        let mut all = vec![0; 14];
        far.read_exact(&mut all).await.map(|_| all)
    });
    guarded.write_all(b"more than fits").await.unwrap();

    assert_eq!(reading.await.unwrap().unwrap(), b"more than fits");
}
