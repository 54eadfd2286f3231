//! A hyper server behind the gate, and its client.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use front_proxy::connection::http1::{GateConfig, GateState, Http1Gate, Returned, TrackedService};

/// What the service saw: request line, headers, body; or why the body broke.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

pub(crate) struct Server {
    pub(crate) client: DuplexStream,
    pub(crate) seen: Seen,
    pub(crate) state: Arc<GateState>,
    pub(crate) task: tokio::task::JoinHandle<Option<Returned<DuplexStream>>>,
}

pub(crate) fn serve(config: GateConfig) -> Server {
    let (client, server) = tokio::io::duplex(1 << 16);
    let passes = !config.answer_100_continue;
    let config = Arc::new(config);
    let mut builder = Builder::new();
    config.configure(&mut builder);
    builder.auto_date_header(false);
    let seen = Seen::default();
    let (gate, handle) = Http1Gate::new(server, config);
    let state = Arc::clone(handle.state());
    let service = service_fn({
        let seen = Arc::clone(&seen);
        move |request| answer(request, Arc::clone(&seen))
    });
    let service = TrackedService::new(service, Arc::clone(&state)).pass_interim(passes);
    let task = tokio::spawn(async move {
        let connection = builder.serve_connection(TokioIo::new(gate), service).with_upgrades();
        let _ = connection.await;
        handle.reclaim()
    });
    Server { client, seen, state, task }
}

/// Answers with the body; `/wait` waits for it, `/now` does not, `/slow` takes its time, `/begin`
/// begins its answer and never ends it, `/never` does not answer.
async fn answer(
    mut request: Request<Incoming>,
    seen: Seen,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let mut line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        line += &format!("|{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let text = |text: String| Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    let path = request.uri().path().to_owned();
    if request.method() == http::Method::CONNECT || path == "/upgrade" {
        seen.lock().unwrap().push(line);
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                let mut io = TokioIo::new(upgraded);
                let mut byte = [0; 64];
                while let Ok(count @ 1..) = io.read(&mut byte).await {
                    let _ = io.write_all(&byte[..count].to_ascii_uppercase()).await;
                }
                let _ = io.shutdown().await;
            }
        });
        let mut answer = text(String::new());
        if path == "/upgrade" {
            *answer.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        }
        return Ok(answer);
    }
    match path.as_str() {
        "/never" => std::future::pending().await,
        "/slow" => tokio::time::sleep(Duration::from_millis(50)).await,
        "/now" => {
            seen.lock().unwrap().push(line);
            return Ok(text("now".to_owned()));
        }
        "/begin" => {
            seen.lock().unwrap().push(line);
            return Ok(Response::new(Begun(false, request.into_body()).boxed_unsync()));
        }
        _ => {}
    }
    let at = {
        let mut seen = seen.lock().unwrap();
        seen.push(line.clone());
        seen.len() - 1
    };
    let trailers;
    let body = match request.into_body().collect().await {
        Ok(body) => {
            trailers = body.trailers().cloned();
            String::from_utf8_lossy(&body.to_bytes()).into_owned()
        }
        Err(error) => {
            seen.lock().unwrap()[at] += &format!("|broken: {error}");
            return Ok(text("broken".to_owned()));
        }
    };
    let mut seen = seen.lock().unwrap();
    seen[at] += &format!("|{body}");
    for (name, value) in trailers.iter().flatten() {
        seen[at] += &format!("|trailer {name}: {value:?}");
    }
    let mut answer = text(format!("<{path} {body}>"));
    // As all answers of the proxy have it whose length is known.
    let length = http::HeaderValue::from(answer.body().size_hint().lower());
    answer.headers_mut().insert(http::header::CONTENT_LENGTH, length);
    Ok(answer)
}

/// Says something, then reads the request to its end.
struct Begun(bool, Incoming);

impl Body for Begun {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !std::mem::replace(&mut self.0, true) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"begun")))));
        }
        while let Some(Ok(_)) = ready!(Pin::new(&mut self.1).poll_frame(cx)) {}
        Poll::Ready(None)
    }
}

impl Server {
    /// Everything the client gets until nothing more comes for a while.
    pub(crate) async fn receive(&mut self) -> String {
        let mut got = Vec::new();
        while let Ok(Ok(1..)) =
            tokio::time::timeout(Duration::from_millis(120), self.client.read_buf(&mut got)).await
        {
        }
        let text = String::from_utf8_lossy(&got).into_owned();
        let date = text.lines().find(|line| line.starts_with("date: ")).map(str::to_owned);
        match date {
            Some(date) => text.replace(&format!("{date}\r\n"), "date\r\n"),
            None => text,
        }
    }

    pub(crate) async fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.client.write_all(bytes.as_ref()).await.unwrap();
        self.receive().await
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

pub(crate) fn ok(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
}

pub(crate) const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 11\r\n\
    content-type: text/plain\r\ndate\r\nserver: envoy\r\nconnection: close\r\n\r\nBad Request";
