//! Images that requests name by URL: fetched for servers of our own, left to vendors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{World, tables};

/// A server with a picture, and with what is none.
struct Pictures {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Pictures {
    async fn hang() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await?);
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let head = String::from_utf8_lossy(&head);
                    stream.write_all(&answer(head.split(' ').nth(1).unwrap())).await
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(path: &str) -> Vec<u8> {
    let (head, body): (&str, &[u8]) = match path {
        "/cat.png?size=2" => ("200 OK\r\ncontent-type: image/png", b"\x89PNG"),
        "/large.png" => ("200 OK\r\ncontent-type: image/png", &[7; (10 << 20) + 1]),
        "/page" => ("200 OK\r\ncontent-type: text/html", b"<p>no image</p>"),
        "/moved.png" => ("302 Found\r\nlocation: http://127.0.0.2/", b""),
        _ => ("404 Not Found", b""),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

async fn world(target: Value) -> World {
    World::with(&[], |base| {
        vec![tables::target("m", base, &target), tables::endpoint("m", &json!({}))]
    })
    .await
}

fn chat(url: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]}]})
}

/// The image as the model's server got it, call by call.
fn shown(world: &World) -> Vec<Value> {
    let calls = world.upstream.requests();
    let body = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let image = |body: Value| body["messages"][0]["content"][1]["image_url"]["url"].clone();
    calls.iter().map(|call| image(body(&call.body))).collect()
}

#[tokio::test]
async fn a_server_of_our_own_gets_the_image_itself_whatever_the_caller_speaks() {
    let world = world(json!({"kind": "deployment"})).await;
    let pictures = Pictures::hang().await;
    let url = pictures.url("/cat.png?size=2");
    let messages = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "url", "url": url}},
    ]}]});

    let chat = world.gateway.post("/v1/chat/completions", &chat(&url)).await;
    let messages = world.gateway.post("/v1/messages", &messages).await;

    assert_eq!((chat.status.as_u16(), messages.status.as_u16()), (200, 200), "{}", chat.text());
    assert_eq!(shown(&world), ["data:image/png;base64,iVBORw=="; 2]);
    assert_eq!(pictures.asked(), 2);
}

#[tokio::test]
async fn what_is_no_image_is_refused_by_its_path_and_asked_of_no_model() {
    let world = world(json!({})).await;
    let pictures = Pictures::hang().await;
    let wrong = [
        (pictures.url("/page"), "no image of a type"),
        (pictures.url("/missing.png"), "answers 404"),
        (pictures.url("/moved.png"), "redirect"),
        (pictures.url("/large.png"), "larger than 10485760 bytes"),
        ("file:///etc/passwd".to_owned(), "neither a web address"),
    ];

    for (url, why) in wrong {
        let refused = world.gateway.post("/v1/chat/completions", &chat(&url)).await;

        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_field"));
        assert!(refused.text().contains(why), "{url}: {}", refused.text());
        let param = &refused.json()["error"]["param"];
        assert_eq!(param, "messages[0].content[1].image_url.url");
    }
    assert_eq!(shown(&world), [Value::Null; 0]);
}

#[tokio::test]
async fn an_address_inside_is_not_called_for_a_caller_even_where_the_model_is_inside() {
    let world = world(json!({"kind": "deployment"})).await;
    let pictures = Pictures::hang().await;
    let platform = json!({"name": "towpath", "currency": "EUR"});
    let platform = tables::entity("platform", "platform", &platform);
    world.control.batch(towpath_wire::routing::Batch {
        version: 1,
        from: 1,
        to: 2,
        advisory: vec![],
        upserts: vec![platform],
        deletes: vec![],
    });
    world.control.applied(2).await;

    let url = pictures.url("/cat.png?size=2");
    let refused = world.gateway.post("/v1/chat/completions", &chat(&url)).await;

    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_field"));
    assert!(refused.text().contains("does not connect to"), "{}", refused.text());
    assert!(!refused.text().contains("127.0.0.1"), "{}", refused.text());
    assert_eq!((pictures.asked(), shown(&world).len()), (0, 0));
}

#[tokio::test]
async fn a_model_without_eyes_is_not_asked_and_no_image_fetched() {
    let world = world(json!({"modalities": ["text"]})).await;
    let pictures = Pictures::hang().await;

    let url = pictures.url("/cat.png?size=2");
    let refused = world.gateway.post("/v1/chat/completions", &chat(&url)).await;

    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "unsupported_field"));
    assert_eq!((pictures.asked(), shown(&world).len()), (0, 0));
}

#[tokio::test]
async fn a_vendor_gets_the_url_as_it_is() {
    let world = world(json!({"kind": "provider", "provider": "vendor"})).await;
    let pictures = Pictures::hang().await;

    let url = pictures.url("/cat.png?size=2");
    let served = world.gateway.post("/v1/chat/completions", &chat(&url)).await;

    assert_eq!(served.status, 200);
    assert_eq!((shown(&world), pictures.asked()), (vec![json!(url)], 0));
}
