use std::convert::Infallible;

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

use super::BufferLayer;
use crate::body::Body;

type Piece = Result<Frame<Bytes>, &'static str>;

struct Pieces(std::vec::IntoIter<Piece>);

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Piece>> {
        std::task::Poll::Ready(self.0.next())
    }
}

fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// What the app is given, and its answer's status. An app that is not asked gives nothing.
async fn send(pieces: Vec<Piece>) -> (u16, String) {
    let app = service_fn(|request: Request<Body>| async move {
        let length = request.headers().get("content-length").cloned();
        let hint = request.body().size_hint().exact();
        let body = request.into_body().collect().await.expect("it is there as a whole");
        let trailers = body.trailers().cloned();
        let told = format!(
            "{:?} {hint:?} {} {trailers:?}",
            length.map(|length| length.to_str().map(str::to_owned).unwrap_or_default()),
            String::from_utf8_lossy(&body.to_bytes()),
        );
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(told))))
    });
    let request = Request::post("/").body(StreamBody::new(Pieces(pieces.into_iter())));
    let service = BufferLayer::new(10).layer(app);
    let Ok(response) = service.oneshot(request.expect("a request")).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_request_goes_on_when_it_is_complete_with_its_length() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-t", "1".parse().expect("a value"));
    let pieces = vec![data("12345"), data(""), data("67890"), Ok(Frame::trailers(trailers))];
    let (status, told) = send(pieces).await;
    assert_eq!(status, 200);
    assert_eq!(told, r#"Some("10") Some(10) 1234567890 Some({"x-t": "1"})"#);
}

#[tokio::test]
async fn one_byte_too_many_is_too_many() {
    let refused = (413, "Payload Too Large".to_owned());
    assert_eq!(send(vec![data("12345"), data("678901")]).await, refused);
    // What comes after is not read: it would be an error here.
    assert_eq!(send(vec![data("12345678901"), Err("read on")]).await, refused);
}

#[tokio::test]
async fn a_request_that_breaks_off_gets_nowhere() {
    assert_eq!(send(vec![data("12345"), Err("gone")]).await, (400, String::new()));
}

#[tokio::test]
async fn a_request_without_a_body_passes_as_it_is() {
    let app = service_fn(|request: Request<Body>| async move {
        assert!(!request.headers().contains_key("content-length"));
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = Request::get("/").body(Body::empty()).expect("a request");
    let Ok(response) = BufferLayer::new(10).layer(app).oneshot(request).await;
    assert_eq!(response.status(), 200);
}
