//! Clients that ask properly, and look closely at what they get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Course, Front};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Http1,
    Http2,
    Http1Tls,
    Http2Tls,
}

pub(crate) const KINDS: &[Kind] = &[Kind::Http1, Kind::Http2, Kind::Http1Tls, Kind::Http2Tls];

enum Sender {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

/// Requests on one connection after another until the course is over.
pub(crate) async fn requests(
    kind: Kind,
    course: Course,
    answered: Arc<AtomicU64>,
) -> Result<(), String> {
    let mut number = 0;
    while course.goes_on() {
        let mut sender = connect(kind, &course.front).await?;
        for _ in 0..100 {
            if !course.goes_on() {
                break;
            }
            exchange(&mut sender, number).await.map_err(|e| format!("{kind:?} {number}: {e}"))?;
            answered.fetch_add(1, Ordering::Relaxed);
            number += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

/// One request on a connection of its own.
pub(crate) async fn one(kind: Kind, front: &Front, number: u64) -> Result<(), String> {
    exchange(&mut connect(kind, front).await?, number).await
}

/// A small answer, or a body there and back.
async fn exchange(sender: &mut Sender, number: u64) -> Result<(), String> {
    let request = Request::builder();
    let (request, expected) = if number.is_multiple_of(4) {
        let body = Bytes::from(format!("{number:08}").repeat(2048));
        let request = request.method("POST").uri("http://good.test/echo");
        (request.body(Full::new(body.clone())), body)
    } else {
        let request = request.uri(format!("http://good.test/number/{number}"));
        (request.body(Full::default()), Bytes::from(format!("number {number}")))
    };
    let mut request = request.map_err(|e| e.to_string())?;
    let answer = async {
        let response = match sender {
            Sender::Http1(sender) => {
                request.headers_mut().insert("host", "good.test".parse().expect("a value"));
                let path = request.uri().path().parse().expect("a path");
                *request.uri_mut() = path;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = response.status();
        Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
    let (status, body) = answer.map_err(|_| "no answer in 20 s")?.map_err(|e| format!("{e:?}"))?;
    if status != 200 {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)));
    }
    if body != expected {
        return Err(format!("{} bytes of another body", body.len()));
    }
    Ok(())
}

async fn connect(kind: Kind, front: &Front) -> Result<Sender, String> {
    let http2 = matches!(kind, Kind::Http2 | Kind::Http2Tls);
    match kind {
        Kind::Http1 | Kind::Http2 => {
            let stream = TcpStream::connect(front.plain).await.map_err(|e| e.to_string())?;
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            handshake(stream, http2).await
        }
        Kind::Http1Tls | Kind::Http2Tls => {
            let stream = TcpStream::connect(front.tls).await.map_err(|e| e.to_string())?;
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            let name = ServerName::try_from("hostile.test").expect("a name");
            let stream = front.connector.connect(name, stream).await.map_err(|e| e.to_string())?;
            handshake(stream, http2).await
        }
    }
    .map_err(|e| format!("{kind:?}: {e}"))
}

async fn handshake<IO>(io: IO, http2: bool) -> Result<Sender, String>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(io);
    if http2 {
        let exec = TokioExecutor::new();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(exec, io).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Sender::Http2(sender))
    } else {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Sender::Http1(sender))
    }
}
