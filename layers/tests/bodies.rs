//! Bodies: what a layer puts around one changes neither its frames nor what it says of itself.
//!
//! A body under test is polled in step with the bare one, whatever order of data, trailers, pauses
//! and failures that has; before each poll both are asked for their length and their end. Bodies
//! that come over a connection are held against what they said before.

mod probe;

use std::convert::Infallible;
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use front_proxy_layers::body::{Body, ResponseBody};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::endpoint::ConnectionOptions;
use front_proxy_layers::http2::Http2Body;
use front_proxy_layers::proxy::Proxy;
use front_proxy_layers::trailers::{TrailerBody, TrailerSlot, TrailerWriter};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt};

use probe::layers::cases;
use probe::{Answer, Hints, Ledger, ScriptedBody, Step, Task};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..8).prop_map(|data| Step::Data(data.into())),
        3 => Just(Step::Pending),
        1 => Just(Step::Failure),
    ]
}

/// Data, pauses and at most one failure, with trailers or without.
fn script() -> impl Strategy<Value = Vec<Step>> {
    (prop::collection::vec(step(), 0..8), any::<bool>()).prop_map(|(mut steps, trailers)| {
        if let Some(at) = steps.iter().position(|step| *step == Step::Failure) {
            steps.truncate(at + 1);
        } else if trailers {
            steps.push(Step::Trailers(trailers_of("x-sum", "1")));
        }
        steps
    })
}

fn hints() -> impl Strategy<Value = Hints> {
    prop_oneof![Just(Hints::Exact), Just(Hints::None)]
}

fn trailers_of(name: &'static str, value: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(name, HeaderValue::from_static(value));
    trailers
}

/// One poll, in a form to compare.
fn poll<B>(body: &mut B) -> Poll<Option<Result<Step, ()>>>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let frame = |frame: Frame<Bytes>| match frame.into_data() {
        Ok(data) => Step::Data(data),
        Err(frame) => Step::Trailers(frame.into_trailers().expect("data or trailers")),
    };
    let polled = Task::new().poll(|cx| Pin::new(body).poll_frame(cx));
    polled.map(|polled| polled.map(|polled| polled.map(frame).map_err(|_| ())))
}

/// Polls both to their end.
fn are_alike<B>(mut wrapped: B, mut bare: ScriptedBody, whose: &str) -> Result<(), TestCaseError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    loop {
        prop_assert_eq!(wrapped.is_end_stream(), bare.is_end_stream(), "the end, {}", whose);
        let (of_wrapped, of_bare) = (wrapped.size_hint(), bare.size_hint());
        prop_assert_eq!(of_wrapped.lower(), of_bare.lower(), "the least length, {}", whose);
        prop_assert_eq!(of_wrapped.upper(), of_bare.upper(), "the most, {}", whose);
        let polled = poll(&mut bare);
        prop_assert_eq!(poll(&mut wrapped), polled.clone(), "{}", whose);
        if let Poll::Ready(None | Some(Err(()))) = polled {
            return Ok(());
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

proptest! {
    #[test]
    fn responses_go_through_every_layer_as_they_are(steps in script(), hints in hints()) {
        block_on(async {
            for case in cases() {
                let answer = Answer::Response(StatusCode::OK, steps.clone());
                let ledger = Ledger::new().hints(hints).answers([answer]);
                let request = Request::get("/").header("host", "h").body(Body::empty());
                let response = case.around(&ledger).oneshot(request.expect("a request")).await;
                let body = response.expect("a response").into_body();
                let name = format!("{} {}", case.name, case.setup);
                are_alike(body, ScriptedBody::new(steps.clone(), hints), &name)?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }

    #[test]
    fn requests_go_through_every_layer_as_they_are(steps in script(), hints in hints()) {
        block_on(async {
            // The buffer reads the body and makes another of it: its own tests.
            for case in cases().into_iter().filter(|case| case.name != "BufferLayer") {
                let ledger = Ledger::new().catch().pauses(1);
                let body = Body::new(ScriptedBody::new(steps.clone(), hints));
                let request = Request::post("/").header("host", "h").body(body);
                let mut service = case.around(&ledger);
                let task = Task::new();
                while task.poll(|cx| service.poll_ready(cx)).is_pending() {}
                let mut call = Box::pin(service.call(request.expect("a request")));
                let caught = loop {
                    prop_assert!(task.poll(|cx| call.as_mut().poll(cx)).is_pending());
                    if let Some(caught) = ledger.caught() {
                        break caught;
                    }
                    // Time goes on for those that wait for it.
                    tokio::task::yield_now().await;
                };
                let name = format!("{} {}", case.name, case.setup);
                are_alike(caught, ScriptedBody::new(steps.clone(), hints), &name)?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }

    #[test]
    fn a_followed_body_is_the_same_body(steps in script(), hints in hints()) {
        let mut body = Body::new(ScriptedBody::new(steps.clone(), hints));
        let progress = body.track();
        are_alike(body, ScriptedBody::new(steps.clone(), hints), "Body")?;
        if let Some(progress) = progress {
            let failed = steps.contains(&Step::Failure);
            prop_assert_eq!(progress.is_failed(), failed);
            prop_assert_eq!(progress.completed_at().is_some(), !failed);
        }
    }

    #[test]
    fn bytes_that_are_there_are_one_frame(data in prop::collection::vec(any::<u8>(), 0..8)) {
        let data = Bytes::from(data);
        let steps: Vec<_> = (!data.is_empty()).then(|| Step::Data(data.clone())).into_iter().collect();
        let bare = || ScriptedBody::new(steps.clone(), Hints::Exact);
        are_alike(Body::from(data.clone()), bare(), "Body")?;
        are_alike(ResponseBody::<ScriptedBody>::local(data), bare(), "ResponseBody")?;
    }
}

/// What goes out where hyper ends its chunks.
fn last_chunk(slot: &Arc<TrailerSlot>) -> Vec<u8> {
    let (mut writer, mut sent) = (TrailerWriter::new(Arc::clone(slot)), Vec::new());
    let last = [IoSlice::new(b"0\r\n\r\n")];
    let written = Task::new().poll(|cx| {
        writer.poll_write(cx, &last, |_, bufs| {
            bufs.iter().for_each(|buf| sent.extend_from_slice(buf));
            Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
        })
    });
    assert!(matches!(written, Poll::Ready(Ok(5))));
    sent
}

proptest! {
    /// hyper's HTTP/1 gets the body without its trailers, which go out behind its last chunk, where
    /// there are chunks.
    #[test]
    fn a_body_for_http1_parts_with_its_trailers(
        steps in script(),
        hints in hints(),
        sized in any::<bool>(),
    ) {
        let mut bare = ScriptedBody::new(steps.clone(), hints);
        let slot = Arc::new(TrailerSlot::default());
        let length = sized.then(|| (CONTENT_LENGTH, HeaderValue::from_static("100")));
        let headers = length.into_iter().collect();
        let chunks = !sized && !bare.is_end_stream() && bare.size_hint().exact().is_none();
        let inner = ScriptedBody::new(steps, hints);
        let mut wrapped = TrailerBody::new(inner, &headers, Some(&slot));
        let trailers = loop {
            prop_assert_eq!(wrapped.is_end_stream(), bare.is_end_stream(), "the end");
            let (of_wrapped, of_bare) = (wrapped.size_hint(), bare.size_hint());
            prop_assert_eq!(of_wrapped.lower(), of_bare.lower(), "the least length");
            prop_assert_eq!(of_wrapped.upper(), of_bare.upper(), "the most");
            let (polled, got) = (poll(&mut bare), poll(&mut wrapped));
            if let Poll::Ready(Some(Ok(Step::Trailers(_)))) = polled {
                prop_assert_eq!(got, Poll::Ready(None), "trailers are not for hyper");
                break true;
            }
            prop_assert_eq!(&got, &polled);
            if let Poll::Ready(None | Some(Err(()))) = got {
                break false;
            }
        };
        let section: &[u8] = if trailers && chunks { b"0\r\nx-sum: 1\r\n\r\n" } else { b"0\r\n\r\n" };
        prop_assert_eq!(last_chunk(&slot), section);
    }
}

/// What a message over a connection is made of.
#[derive(Clone, Debug)]
struct Message {
    pieces: Vec<Bytes>,
    trailers: bool,
    /// HTTP/1: a length rather than chunks. HTTP/2: the end comes with the last piece.
    sized: bool,
}

fn message() -> impl Strategy<Value = Message> {
    let piece = (any::<u8>(), 1usize..2000).prop_map(|(byte, n)| Bytes::from(vec![byte; n]));
    let pieces = prop::collection::vec(piece, 0..5);
    (pieces, any::<bool>(), any::<bool>()).prop_map(|(pieces, trailers, sized)| Message {
        pieces,
        trailers: trailers && !sized,
        sized,
    })
}

/// Reads a body, asking it all the time; what it said must have been true.
async fn is_true<B>(mut body: B, message: &Message) -> Result<(), TestCaseError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    let whole: Bytes = message.pieces.concat().into();
    let (mut read, mut trailers) = (Vec::new(), None);
    loop {
        let (hint, ended) = (body.size_hint(), body.is_end_stream());
        let left = (whole.len() - read.len()) as u64;
        prop_assert!(hint.lower() <= left, "{:?} with {} left", hint, left);
        prop_assert!(
            hint.upper().is_none_or(|upper| upper >= left),
            "{:?} with {} left",
            hint,
            left
        );
        let Some(frame) = body.frame().await else { break };
        prop_assert!(!ended, "it goes on after its end");
        match frame.expect("a frame").into_data() {
            Ok(data) => {
                prop_assert!(trailers.is_none(), "data behind trailers");
                read.extend_from_slice(&data);
            }
            Err(frame) => {
                prop_assert!(trailers.is_none(), "trailers twice");
                trailers = frame.into_trailers().ok();
            }
        }
    }
    prop_assert!(body.is_end_stream(), "it has ended");
    prop_assert_eq!(&read, &whole);
    let wanted = message.trailers.then(|| trailers_of("x-sum", "1"));
    prop_assert_eq!(trailers, wanted);
    Ok(())
}

/// Sends the message as a response over HTTP/2.
async fn send_http2(message: &Message, mut respond: h2::server::SendResponse<Bytes>) {
    let bare = message.pieces.is_empty() && !message.trailers;
    let mut stream = respond.send_response(Response::new(()), bare).expect("a head");
    for (index, piece) in message.pieces.iter().enumerate() {
        let last = index + 1 == message.pieces.len() && !message.trailers && message.sized;
        stream.send_data(piece.clone(), last).expect("data");
        tokio::task::yield_now().await;
    }
    if message.trailers {
        stream.send_trailers(trailers_of("x-sum", "1")).expect("trailers");
    } else if !bare && !message.sized {
        stream.send_data(Bytes::new(), true).expect("the end");
    }
}

/// Serves one HTTP/2 connection, whose answers are all the message.
async fn serve_http2<IO>(io: IO, message: Message)
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut connection = h2::server::handshake(io).await.expect("a connection");
    while let Some(Ok((_, respond))) = connection.accept().await {
        send_http2(&message, respond).await;
    }
}

/// Serves one HTTP/1 connection and one request, byte by byte where that may matter.
async fn serve_http1(mut stream: tokio::net::TcpStream, message: Message) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let length: usize = message.pieces.iter().map(Bytes::len).sum();
    let framing = match (message.sized, message.trailers) {
        (true, _) => format!("content-length: {length}"),
        (false, true) => "transfer-encoding: chunked\r\ntrailer: x-sum".to_owned(),
        (false, false) => "transfer-encoding: chunked".to_owned(),
    };
    let mut parts = vec![Bytes::from(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"))];
    for piece in &message.pieces {
        if message.sized {
            parts.push(piece.clone());
        } else {
            parts.push(format!("{:x}\r\n", piece.len()).into());
            parts.push(piece.clone());
            parts.push(Bytes::from_static(b"\r\n"));
        }
    }
    if !message.sized {
        let end = if message.trailers { "0\r\nx-sum: 1\r\n\r\n" } else { "0\r\n\r\n" };
        parts.push(Bytes::from_static(end.as_bytes()));
    }
    for part in parts {
        stream.write_all(&part).await.expect("sent");
        tokio::task::yield_now().await;
    }
    // Until the client closes, so that it is not the end of the connection that ends the body.
    let _ = stream.read(&mut [0]).await;
}

fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).header("host", "h").body(Empty::new()).expect("a request")
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it does not hang")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_http2_body_is_true(message in message()) {
        block_on(within(async {
            let (near, far) = tokio::io::duplex(1024);
            tokio::spawn(serve_http2(far, message.clone()));
            let (mut send, connection) = h2::client::handshake(near).await.expect("a connection");
            tokio::spawn(connection);
            let request = get("http://h/").map(|_| ());
            let (response, _) = send.send_request(request, true).expect("sent");
            let stream = response.await.expect("a response").into_body();
            is_true(Http2Body::new(stream), &message).await
        }))?;
    }

    #[test]
    fn what_an_upstream_sends_is_true(
        message in message(),
        http2 in any::<bool>(),
        http1_trailers in any::<bool>(),
    ) {
        block_on(within(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            let sent = message.clone();
            tokio::spawn(async move {
                let (stream, _) = listener.accept().await.expect("a connection");
                if http2 { serve_http2(stream, sent).await } else { serve_http1(stream, sent).await }
            });
            let cluster = Cluster::builder("c").endpoints([address]).expect("an address");
            let options = ConnectionOptions { http1_trailers, ..ConnectionOptions::default() };
            let cluster = cluster.connections(options);
            let cluster = if http2 { cluster.http2() } else { cluster }.build();
            let proxy = Proxy::new(cluster.clone());
            let response: Result<_, Infallible> = proxy.oneshot(get("/")).await;
            let trailers = message.trailers && (http2 || http1_trailers);
            let received = Message { trailers, ..message };
            is_true(response.expect("infallible").into_body(), &received).await?;
            let endpoint = &cluster.endpoints()[0];
            let active = endpoint.stats().rq_active.load(std::sync::atomic::Ordering::Relaxed);
            prop_assert_eq!(active, 0, "the request is over with its body");
            Ok::<_, TestCaseError>(())
        }))?;
    }
}
