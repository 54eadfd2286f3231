//! Proxies in processes of their own, and a client that speaks to them byte by byte.
#![allow(dead_code, clippy::mod_module_files, reason = "shared by test binaries")]

pub(crate) mod bootstrap;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

/// A process that is killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start<A: AsRef<std::ffi::OsStr>>(program: &str, args: &[A]) -> Self {
        Self::spawn(Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self(child)
    }

    /// Sends a signal, named as `kill` has it: `-TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the process to end", || self.ended().is_some());
        self.0.wait().expect("a child")
    }

    /// Where it is piped.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("piped, and taken once")
    }

    /// Where it is piped.
    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.0.stderr.take().expect("piped, and taken once")
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))
            .expect("a running process");
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Open file descriptors.
    pub(crate) fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.0.id()));
        files.expect("a running process").count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that are free on all addresses, for processes that are told theirs. They lie below those
/// that the system gives to connections, one of which might take them before the process does.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 15_000) as u16;
    let sockets = [(); N].map(|()| {
        let mut tried = (0..15_000).map(|_| NEXT.fetch_add(1, Ordering::Relaxed));
        tried
            .find_map(|n| TcpListener::bind(("0.0.0.0", 15_000 + (first + n) % 15_000)).ok())
            .expect("a free port")
    });
    sockets.map(|socket| socket.local_addr().expect("bound").port())
}

/// Looks again and again whether something `is` so, for 20 seconds.
pub(crate) fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..800 {
        if is() {
            return;
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("waited in vain for {what}");
}

pub(crate) fn wait_for(port: u16) {
    until_open(([127, 0, 0, 1], port).into());
}

/// A connection, once something listens there.
pub(crate) fn until_open(address: SocketAddr) -> TcpStream {
    let mut stream = None;
    until(&format!("{address} to open"), || {
        stream = TcpStream::connect(address).ok();
        stream.is_some()
    });
    stream.expect("it is open")
}

/// One kept connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the proxy listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn local(port: u16) -> Self {
        Self::connect(([127, 0, 0, 1], port).into())
    }

    /// The body of a 200; anything else is an error in words.
    pub(crate) fn get(&mut self, path: &str) -> Result<String, String> {
        let (status, body) = self.ask(path, "")?;
        if status.starts_with("HTTP/1.1 200") { Ok(body) } else { Err(format!("{status} {body}")) }
    }

    /// The status line and the body; `headers` are whole lines.
    pub(crate) fn ask(&mut self, path: &str, headers: &str) -> Result<(String, String), String> {
        let (mut head, body) = self.exchange("GET", path, headers)?;
        head.truncate(head.find('\n').map_or(0, |end| end + 1));
        Ok((head, body))
    }

    /// The head and the body; `headers` are whole lines.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
    ) -> Result<(String, String), String> {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).map_err(words)?;
        let mut head = self.line()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?;
            head.push_str(&line);
            let line = line.to_ascii_lowercase();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().map_err(|_| line.clone())?;
            }
            chunked |= line == "transfer-encoding: chunked\r\n";
        }
        let mut body = Vec::new();
        if !chunked {
            self.take(length, &mut body)?;
        }
        while chunked {
            let line = self.line()?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(|_| line)?;
            self.take(length, &mut body)?;
            self.line()?;
            chunked = length != 0;
        }
        Ok((head, String::from_utf8_lossy(&body).into_owned()))
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).map_err(words)? {
            0 => Err("closed inside the answer".to_owned()),
            _ => Ok(line),
        }
    }

    fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Result<(), String> {
        let from = into.len();
        into.resize(from + length, 0);
        self.stream.read_exact(&mut into[from..]).map_err(words)
    }
}

fn words(error: std::io::Error) -> String {
    error.to_string()
}

/// A counter or gauge of `/stats`.
pub(crate) fn stat(admin: u16, name: &str) -> u64 {
    let page = Client::local(admin).get(&format!("/stats?filter=^{name}$")).expect("a page");
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name}: {page}"))
}

pub(crate) fn until_stat(admin: u16, name: &str, value: u64) {
    until(&format!("{name} to become {value}"), || stat(admin, name) == value);
}

/// An upstream that answers on kept connections: with 503 where the path ends in `/503`, else with
/// 200.
pub(crate) fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    port
}

fn serve(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        request.extend_from_slice(&buffer[..read]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let path = request.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let status = if path.ends_with(b"/503") { "503 No" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        request.clear();
    }
}
