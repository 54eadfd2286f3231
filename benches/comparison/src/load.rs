//! The upstream and the clients: plain threads and blocking sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

pub const CONNECTIONS: usize = 16;

/// What is asked for.
pub struct Load {
    pub name: &'static str,
    /// Bytes of the request's body.
    pub sent: usize,
    /// Bytes of the response's body.
    pub received: usize,
}

impl Load {
    /// So many requests over all connections, each of which asks again when it has its answer.
    pub fn run(&self, proxy: SocketAddr, requests: usize) {
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| self.client(proxy, requests / CONNECTIONS));
            }
        });
    }

    fn client(&self, proxy: SocketAddr, requests: usize) {
        let mut stream = TcpStream::connect(proxy).expect("connected");
        stream.set_nodelay(true).expect("an option");
        let method = if self.sent > 0 { "POST" } else { "GET" };
        let length = if self.sent > 0 {
            format!("content-length: {}\r\n", self.sent)
        } else {
            String::new()
        };
        let mut request = format!(
            "{method} /{} HTTP/1.1\r\nhost: example.com\r\nuser-agent: load\r\naccept: */*\r\n{length}\r\n",
            self.received
        )
        .into_bytes();
        request.resize(request.len() + self.sent, b'x');
        let mut messages = Messages::new();
        for _ in 0..requests {
            stream.write_all(&request).expect("sent");
            let head = messages.next(&mut stream).expect("an answer");
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        }
    }
}

/// Answers every request with as many bytes as its path says.
pub struct Upstream {
    pub address: SocketAddr,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(|| serve(stream.expect("a connection")));
            }
        });
        Self { address }
    }
}

fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("an option");
    let mut messages = Messages::new();
    let mut answer = Vec::new();
    let mut answers = usize::MAX;
    while let Some(head) = messages.next(&mut stream) {
        let path = head.split(' ').nth(1).expect("a path");
        let path = path.rsplit('/').next().expect("a last part");
        let length: usize = path.parse().expect("a size");
        if length != answers {
            answers = length;
            answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nserver: upstream\r\ncontent-length: {length}\r\n\r\n"
            )
            .into_bytes();
            answer.resize(answer.len() + length, b'x');
        }
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Reads messages off a connection, whose bodies have a length.
struct Messages {
    buffer: Vec<u8>,
    filled: usize,
}

impl Messages {
    fn new() -> Self {
        Self { buffer: vec![0; 256 * 1024], filled: 0 }
    }

    /// The head of the next message, once all of the message is there. `None` at the end.
    fn next(&mut self, stream: &mut TcpStream) -> Option<String> {
        loop {
            let read = &self.buffer[..self.filled];
            if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&read[..end]).into_owned();
                let length = content_length(&head);
                let whole = end + 4 + length;
                while self.filled < whole {
                    self.read(stream)?;
                }
                self.buffer.copy_within(whole..self.filled, 0);
                self.filled -= whole;
                return Some(head);
            }
            self.read(stream)?;
        }
    }

    fn read(&mut self, stream: &mut TcpStream) -> Option<()> {
        let read = stream.read(&mut self.buffer[self.filled..]).ok()?;
        self.filled += read;
        (read > 0).then_some(())
    }
}

fn content_length(head: &str) -> usize {
    let named = |line: &&str| line.len() > 15 && line[..15].eq_ignore_ascii_case("content-length:");
    let line = head.lines().find(named);
    line.map_or(0, |line| line[15..].trim().parse().expect("a length"))
}
