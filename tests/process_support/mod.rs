//! Proxies in processes of their own, and a client that speaks to them byte by byte.
#![allow(dead_code, clippy::mod_module_files, reason = "shared by test binaries")]

pub(crate) mod bootstrap;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// A process that is killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start<A: AsRef<std::ffi::OsStr>>(program: &str, args: &[A]) -> Self {
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        Self(child)
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

pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("bound").port())
}

pub(crate) fn wait_for(port: u16) {
    for _ in 0..400 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("nothing listens on {port}");
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
    for _ in 0..200 {
        if stat(admin, name) == value {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{name} did not become {value}");
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
