//! What the proxies do with requests that are not plain, seen from both sides.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::Proxy;

/// Prints what comes of each, for each proxy.
pub fn show(names: &[&str]) {
    for name in names {
        let upstream = Upstream::start();
        let proxy = Proxy::start(name, upstream.address);
        println!("\n{name}");
        println!(
            "  headers of the client's connection that went upstream: {}",
            hop_by_hop(&proxy, &upstream)
        );
        println!(
            "  new upstream connections for 5 clients that close theirs: {}",
            kept(&proxy, &upstream)
        );
        println!("  trailers of an HTTP/1 response: {}", trailers(&proxy));
        println!("  a WebSocket that echoes: {}", upgrade(&proxy, "websocket"));
        println!("  another protocol that echoes: {}", upgrade(&proxy, "chat"));
        println!("  a client that speaks HTTP/1: {}", http1(&proxy, &upstream));
        println!("  a client that speaks HTTP/2: {}", http2(&proxy, &upstream));
        let closed =
            TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        println!("  an upstream that is not there: {}", dead(&Proxy::start(name, closed)));
    }
}

fn hop_by_hop(proxy: &Proxy, upstream: &Upstream) -> String {
    let mut client = connect(proxy);
    write(
        &mut client,
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, x-mine\r\nkeep-alive: timeout=9\r\nx-mine: 1\r\nte: gzip\r\n\r\n",
    );
    read(&mut client, "\r\n\r\nok");
    let head = upstream.last();
    let names = ["connection", "keep-alive", "x-mine", "te"];
    let passed = names.into_iter().filter(|name| head.contains(&format!("\n{name}:")));
    let passed: Vec<_> = passed.collect();
    if passed.is_empty() { "none".to_owned() } else { passed.join(", ") }
}

fn kept(proxy: &Proxy, upstream: &Upstream) -> usize {
    let before = upstream.seen.connections.load(Ordering::Relaxed);
    for _ in 0..5 {
        let mut client = connect(proxy);
        write(&mut client, "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        read(&mut client, "\r\n\r\nok");
        // Time to put the connection back.
        thread::sleep(Duration::from_millis(20));
    }
    upstream.seen.connections.load(Ordering::Relaxed) - before
}

fn trailers(proxy: &Proxy) -> &'static str {
    let mut client = connect(proxy);
    write(&mut client, "GET /trailers HTTP/1.1\r\nhost: h\r\nte: trailers\r\n\r\n");
    let answer = read(&mut client, "0\r\n\r\n");
    if answer.contains("x-sum: 7") { "arrive" } else { "lost" }
}

fn upgrade(proxy: &Proxy, protocol: &str) -> String {
    let mut client = connect(proxy);
    write(
        &mut client,
        &format!(
            "GET /{protocol} HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: {protocol}\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
    );
    let head = read(&mut client, "\r\n\r\n");
    let status = head.lines().next().unwrap_or("no answer").to_owned();
    if !status.contains("101") {
        return status;
    }
    let echoed =
        client.write_all(b"ping!").is_ok() && read(&mut client, "ping!").ends_with("ping!");
    format!("{status}, {}", if echoed { "and it does" } else { "but nothing comes back" })
}

fn http1(proxy: &Proxy, upstream: &Upstream) -> String {
    let mut client = connect(proxy);
    write(&mut client, "GET /h1 HTTP/1.1\r\nhost: example.com\r\n\r\n");
    let answer = read(&mut client, "\r\n\r\nok");
    let status = answer.split(' ').nth(1).unwrap_or("nothing").to_owned();
    seen(status, "get /h1", upstream)
}

fn seen(status: String, target: &str, upstream: &Upstream) -> String {
    let head = upstream.last();
    if !head.starts_with(target) {
        return format!("{status}, nothing went upstream");
    }
    let host = head.lines().find(|line| line.starts_with("host:")).unwrap_or("no host");
    format!("{status}, upstream sees `{host}`")
}

fn http2(proxy: &Proxy, upstream: &Upstream) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let address = proxy.address;
    let status = runtime.expect("a runtime").block_on(async move {
        let stream = tokio::net::TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        let (mut send, connection) =
            h2::client::handshake(stream).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        let request =
            axum::http::Request::get("http://example.com/h2").body(()).expect("a request");
        let (response, _) = send.send_request(request, true).map_err(|e| e.to_string())?;
        response
            .await
            .map(|response| response.status().as_u16().to_string())
            .map_err(|e| e.to_string())
    });
    seen(status.unwrap_or_else(|error| error), "get /h2", upstream)
}

fn dead(proxy: &Proxy) -> String {
    let mut client = connect(proxy);
    write(&mut client, "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let answer = read(&mut client, "\0");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    format!("{}, `{body}`", answer.lines().next().unwrap_or("no answer"))
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("an option");
    stream
}

fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).expect("written");
}

/// Reads up to `end`, or for as long as something comes.
fn read(stream: &mut TcpStream, end: &str) -> String {
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(end.as_bytes()) && matches!(stream.read(&mut byte), Ok(1)) {
        read.push(byte[0]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// An upstream that keeps the heads of what it is asked, in small letters.
struct Upstream {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, seen) = (listener.local_addr().expect("an address"), Arc::<Seen>::default());
        let own = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&seen);
                seen.connections.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || serve(stream.expect("a connection"), &seen));
            }
        });
        Self { address, seen: own }
    }

    fn last(&self) -> String {
        self.seen.heads.lock().expect("no panic").last().cloned().unwrap_or_default()
    }
}

fn serve(mut stream: TcpStream, seen: &Seen) {
    loop {
        let head = read(&mut stream, "\r\n\r\n").to_ascii_lowercase();
        if !head.ends_with("\r\n\r\n") {
            return;
        }
        seen.heads.lock().expect("no panic").push(head.clone());
        let switched = |protocol| {
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            )
        };
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path {
            "/trailers" => write(
                &mut stream,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n",
            ),
            "/websocket" | "/chat" if head.contains("\nupgrade:") => {
                write(&mut stream, &switched(&path[1..]));
                let heard = read(&mut stream, "!");
                write(&mut stream, &heard);
                return;
            }
            _ => write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        }
        if head.contains("\nconnection: close") {
            return;
        }
    }
}
