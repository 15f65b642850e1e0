use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Send these pieces and close; what is detected, and what can be read then.
async fn sent(pieces: &[&[u8]]) -> io::Result<(Version, Vec<u8>)> {
    let (mut caller, stream) = duplex(1);
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let sending = async move {
        for piece in pieces {
            caller.write_all(&piece).await.unwrap();
        }
        drop(caller);
    };
    let reading = async {
        let (version, mut stream) = detect(stream, LONG).await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        Ok((version, all))
    };
    tokio::join!(sending, reading).1
}

#[tokio::test]
async fn the_preface_is_told_in_pieces_of_any_size_and_comes_again() {
    let mut all = PREFACE.to_vec();
    all.extend_from_slice(b"frames");

    assert_eq!(sent(&[&all]).await.unwrap(), (Version::Http2, all.clone()));
    let (first, second) = all.split_at(5);
    assert_eq!(sent(&[first, second]).await.unwrap(), (Version::Http2, all.clone()));
}

#[tokio::test]
async fn everything_else_is_http_1_and_comes_again() {
    for request in ["GET / HTTP/1.1\r\n\r\n", "POST", "PRI * HTTP/1.1\r\n\r\n", "P\r\n", "\r\n"] {
        let bytes = request.as_bytes();
        assert_eq!(sent(&[bytes]).await.unwrap(), (Version::Http1, bytes.to_vec()), "{request:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_or_stays_silent_is_given_up() {
    assert!(sent(&[]).await.is_err());
    assert!(sent(&[b"PRI"]).await.is_err());
    let (_caller, stream) = duplex(8);
    assert!(detect(stream, Duration::ZERO).await.is_err());
}
