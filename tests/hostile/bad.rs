//! Clients that stall, vanish, half-close, trickle and send garbage.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Course;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Says nothing, or half a head.
    StallsInTheHead,
    /// Announces a body and stops sending it.
    StallsInTheBody,
    /// Sends a head byte by byte.
    TricklesTheHead,
    /// Sends a body byte by byte.
    TricklesTheBody,
    /// Asks for much and reads little of it.
    ReadsSlowly,
    /// Resets the connection while its answer is under way.
    Vanishes,
    /// Closes its side right after the request.
    HalfCloses,
    /// Sends whatever.
    SendsGarbage,
    /// Sends requests with a byte or two of them changed.
    SendsBrokenRequests,
    /// Sends many requests at once, and leaves before the answers.
    PipelinesAndLeaves,
    /// The HTTP/2 preface, then whatever.
    SendsGarbageFrames,
    /// Opens HTTP/2 streams and resets them at once.
    ResetsRapidly,
    /// Lets the proxy send nothing on its HTTP/2 streams.
    GrantsNoWindow,
    /// Speaks something else than TLS to the TLS port, or half a handshake of it.
    BreaksTheHandshake,
    /// TLS, then nothing.
    StallsBehindTls,
}

pub(crate) const KINDS: [Kind; 15] = [
    Kind::StallsInTheHead,
    Kind::StallsInTheBody,
    Kind::TricklesTheHead,
    Kind::TricklesTheBody,
    Kind::ReadsSlowly,
    Kind::Vanishes,
    Kind::HalfCloses,
    Kind::SendsGarbage,
    Kind::SendsBrokenRequests,
    Kind::PipelinesAndLeaves,
    Kind::SendsGarbageFrames,
    Kind::ResetsRapidly,
    Kind::GrantsNoWindow,
    Kind::BreaksTheHandshake,
    Kind::StallsBehindTls,
];

static CLIENTS: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; KINDS.len()];

/// How many clients of each kind there have been.
pub(crate) fn clients() -> [u64; KINDS.len()] {
    std::array::from_fn(|kind| CLIENTS[kind].load(Ordering::Relaxed))
}

/// Two at a time of each kind.
pub(crate) fn spawn_all(course: &Course) -> Vec<JoinHandle<()>> {
    let twice = (0..KINDS.len()).chain(0..KINDS.len());
    twice
        .map(|kind| {
            let course = course.clone();
            tokio::spawn(async move {
                while course.goes_on() {
                    CLIENTS[kind].fetch_add(1, Ordering::Relaxed);
                    // How it fails is its own affair.
                    let _ = timeout(Duration::from_secs(8), client(KINDS[kind], &course)).await;
                    sleep(Duration::from_millis(fastrand::u64(5..30))).await;
                }
            })
        })
        .collect()
}

const HEAD: &[u8] = b"GET /number/7 HTTP/1.1\r\nhost: bad.test\r\n\r\n";
const POST: &[u8] = b"POST /echo HTTP/1.1\r\nhost: bad.test\r\ncontent-length: 1000\r\n\r\n";

async fn client(kind: Kind, course: &Course) -> std::io::Result<()> {
    let to = match kind {
        Kind::BreaksTheHandshake | Kind::StallsBehindTls => course.front.tls,
        _ => course.front.plain,
    };
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    match kind {
        Kind::StallsInTheHead => {
            stream.write_all(&HEAD[..fastrand::usize(..HEAD.len())]).await?;
            read_all(&mut stream).await
        }
        Kind::StallsInTheBody => {
            stream.write_all(POST).await?;
            stream.write_all(&[b'x'; 1000][..fastrand::usize(..1000)]).await?;
            read_all(&mut stream).await
        }
        Kind::TricklesTheHead => {
            trickle(&mut stream, HEAD, course).await?;
            read_all(&mut stream).await
        }
        Kind::TricklesTheBody => {
            stream.write_all(POST).await?;
            trickle(&mut stream, &[b'x'; 1000], course).await?;
            read_all(&mut stream).await
        }
        Kind::ReadsSlowly => {
            stream.write_all(b"GET /big HTTP/1.1\r\nhost: bad.test\r\n\r\n").await?;
            let mut some = [0; 512];
            while course.goes_on() && stream.read(&mut some).await? > 0 {
                sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
        Kind::Vanishes => {
            let path = if fastrand::bool() { "/slow" } else { "/big" };
            stream
                .write_all(format!("GET {path} HTTP/1.1\r\nhost: bad.test\r\n\r\n").as_bytes())
                .await?;
            sleep(Duration::from_millis(fastrand::u64(..50))).await;
            reset(stream)
        }
        Kind::HalfCloses => {
            stream.write_all(HEAD).await?;
            stream.shutdown().await?;
            read_all(&mut stream).await
        }
        Kind::SendsGarbage => {
            let bytes: Vec<u8> = (0..fastrand::usize(1..4096)).map(|_| fastrand::u8(..)).collect();
            stream.write_all(&bytes).await?;
            read_all(&mut stream).await
        }
        Kind::SendsBrokenRequests => {
            let mut request =
                b"POST /echo HTTP/1.1\r\nhost: bad.test\r\ntransfer-encoding: chunked\r\n\r\n\
                  5\r\nhello\r\n0\r\n\r\n"
                    .to_vec();
            for _ in 0..fastrand::usize(1..3) {
                let at = fastrand::usize(..request.len());
                request[at] = fastrand::u8(..);
            }
            stream.write_all(&request).await?;
            read_all(&mut stream).await
        }
        Kind::PipelinesAndLeaves => {
            stream.write_all(&HEAD.repeat(50)).await?;
            reset(stream)
        }
        Kind::SendsGarbageFrames => {
            stream.write_all(PREFACE).await?;
            stream.write_all(SETTINGS).await?;
            for _ in 0..fastrand::usize(1..20) {
                let mut frame = vec![0; 9 + fastrand::usize(..64)];
                frame.fill_with(|| fastrand::u8(..));
                let length = u8::try_from(frame.len() - 9).unwrap_or(0);
                frame[..4].copy_from_slice(&[0, 0, length, fastrand::u8(..12)]);
                frame[5..8].copy_from_slice(&[0, 0, 0]);
                stream.write_all(&frame).await?;
            }
            read_all(&mut stream).await
        }
        Kind::ResetsRapidly => {
            stream.write_all(PREFACE).await?;
            stream.write_all(SETTINGS).await?;
            for stream_id in (1..2000).step_by(2) {
                stream.write_all(&get_frame(stream_id)).await?;
                stream.write_all(&frame(3, 0, stream_id, &[0, 0, 0, 8])).await?;
            }
            read_all(&mut stream).await
        }
        Kind::GrantsNoWindow => {
            stream.write_all(PREFACE).await?;
            // SETTINGS_INITIAL_WINDOW_SIZE: 0
            stream.write_all(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])).await?;
            for stream_id in (1..100).step_by(2) {
                stream.write_all(&get_frame(stream_id)).await?;
            }
            read_all(&mut stream).await
        }
        Kind::BreaksTheHandshake => {
            if fastrand::bool() {
                stream.write_all(HEAD).await?;
            } else {
                // The beginning of a ClientHello.
                stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 7, 7]).await?;
            }
            timeout(Duration::from_secs(1), read_all(&mut stream)).await?
        }
        Kind::StallsBehindTls => {
            let name = "hostile.test".try_into().expect("a name");
            let mut stream = course.front.connector.connect(name, stream).await?;
            stream.write_all(&HEAD[..fastrand::usize(..HEAD.len())]).await?;
            read_all(&mut stream).await
        }
    }
}

/// Reads until the proxy has had enough.
async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn trickle(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    course: &Course,
) -> std::io::Result<()> {
    for byte in bytes {
        if !course.goes_on() {
            break;
        }
        stream.write_all(&[*byte]).await?;
        sleep(Duration::from_millis(fastrand::u64(..20))).await;
    }
    Ok(())
}

/// Ends the connection with a reset.
fn reset(stream: TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET /number/7`, ending its stream.
fn get_frame(stream: u32) -> Vec<u8> {
    // :method GET, :scheme http from the static table; :path and :authority as literals.
    let mut block = vec![0x82, 0x86, 0x04, 9];
    block.extend(b"/number/7");
    block.extend([0x01, 8]);
    block.extend(b"bad.test");
    frame(1, 0x5, stream, &block)
}
