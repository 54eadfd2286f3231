//! gRPC through the proxy: a call with one answer, one with many, one where both sides talk, and one
//! that nobody takes. HTTP/2 on both sides, trailers and all.
//!
//! ```text
//! cargo run --example grpc
//! ```
//!
//! The service and its client are made by hand here, of axum and hyper, to stay small; with tonic it
//! is the same. Next: retry on `unavailable` with `RetryOn { grpc_unavailable: true, .. }`.

use std::convert::Infallible;
use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::post;
use bytes::{BufMut, Bytes, BytesMut};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let greeter = Cluster::builder("greeter").endpoints([greeter().await?])?.http2().build();
    // A call may take as long as it likes: what is asked for over and over, answers over and over.
    let proxy = Proxy::builder().timeout(None).route("/demo.Greeter/", greeter).build();
    let app = Router::new().fallback_service(proxy);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);

    let one = |word: &str| stream::iter([message(word)]);
    println!("one answer: {}", call(&mut client, "/demo.Greeter/Hello", one("you")).await?);
    println!("many: {}", call(&mut client, "/demo.Greeter/Count", one("3")).await?);
    let words = stream::iter(["a", "b", "c"].map(message));
    println!("both talk: {}", call(&mut client, "/demo.Greeter/Echo", words).await?);
    println!("nobody: {}", call(&mut client, "/demo.Nobody/Hello", one("you")).await?);
    Ok(())
}

/// The words that come back, and the status of the call.
async fn call(
    client: &mut SendRequest<Body>,
    method: &str,
    messages: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<String, Box<dyn Error>> {
    let body = Body::from_stream(messages.map(Ok::<_, Infallible>));
    let request = http::Request::post(format!("http://demo{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    client.ready().await?;
    let response = client.send_request(request.body(body)?).await?;
    // An answer without messages may have it all in its head.
    let mut status = response.headers().get("grpc-status").cloned();
    let answer = response.into_body().collect().await?;
    if let Some(trailers) = answer.trailers() {
        status = trailers.get("grpc-status").cloned();
    }
    let status = status.ok_or("no grpc-status")?;
    let words = words(answer.to_bytes()).join(" ");
    Ok(format!("[{words}] grpc-status {}", status.to_str()?))
}

/// Stands in for a gRPC service of yours. Returns its address.
async fn greeter() -> Result<String, Box<dyn Error>> {
    let hello = |request: Request| async {
        let Ok(asked) = request.into_body().collect().await else { return reply(stream::empty()) };
        let name = words(asked.to_bytes()).concat();
        reply(stream::iter([message(&format!("hello, {name}"))]))
    };
    let count = |request: Request| async {
        let Ok(asked) = request.into_body().collect().await else { return reply(stream::empty()) };
        let to = words(asked.to_bytes()).concat().parse().unwrap_or(0);
        reply(stream::iter((1..=to).map(|n: u32| message(&n.to_string()))))
    };
    // Each message goes back before the next one has come.
    let echo = |request: Request| async {
        let pieces = request.into_body().into_data_stream();
        reply(pieces.filter_map(|piece| std::future::ready(piece.ok())))
    };
    let app = Router::new()
        .route("/demo.Greeter/Hello", post(hello))
        .route("/demo.Greeter/Count", post(count))
        .route("/demo.Greeter/Echo", post(echo));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}

/// An answer of these messages that went well, as its trailers say.
fn reply(messages: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(0));
    let end = stream::iter([Frame::trailers(trailers)]);
    let frames = messages.map(Frame::data).chain(end).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}

/// A message of one text field, in protobuf and gRPC's frame.
fn message(word: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(word.len() + 2).unwrap_or_default());
    bytes.put_slice(&[0x0a, u8::try_from(word.len()).unwrap_or_default()]);
    bytes.put_slice(word.as_bytes());
    bytes.freeze()
}

/// The text of each message.
fn words(mut frames: Bytes) -> Vec<String> {
    let mut words = Vec::new();
    while frames.len() >= 7 {
        let mut frame = frames.split_to(usize::from(frames[6]) + 7);
        words.push(String::from_utf8_lossy(&frame.split_off(7)).into_owned());
    }
    words
}
