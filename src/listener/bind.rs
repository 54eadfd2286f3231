//! Opening listening sockets, one for each worker.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// A listening socket could not be opened.
#[derive(Debug)]
pub(crate) struct BindError {
    what: String,
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, address, source } = self;
        if source.kind() == io::ErrorKind::AddrInUse {
            write!(
                f,
                "{what}: cannot bind: port {} is taken on {} (address already in use)",
                address.port(),
                address.ip()
            )
        } else {
            write!(f, "{what}: can't listen on {address}: {source}")
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// How the workers of a process listen on one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each with a socket of its own (`SO_REUSEPORT`): the kernel spreads connections over them.
    ReusePort,
    /// All with the same socket: whoever comes first takes a connection.
    OneSocket,
}

/// Opens what `count` workers listen with on one address.
///
/// `what` names the listener in errors.
pub(crate) fn bind(
    what: &str,
    address: SocketAddr,
    count: usize,
    sharing: Sharing,
    backlog: Option<u32>,
) -> Result<Vec<TcpListener>, BindError> {
    let error = |source| BindError { what: what.to_owned(), address, source };
    let backlog = backlog.and_then(|b| i32::try_from(b).ok()).unwrap_or(4096);
    if count <= 1 {
        return Ok(vec![open(address, false, backlog).map_err(error)?]);
    }
    // With SO_REUSEPORT another process of this user could share the port unnoticed, and each
    // would get half of the connections. Taking the port alone first finds that out.
    let alone = open(address, false, backlog).map_err(error)?;
    if sharing == Sharing::OneSocket {
        let clones = (1..count).map(|_| alone.try_clone()).collect::<io::Result<Vec<_>>>();
        return clones.map(|clones| clones.into_iter().chain([alone]).collect()).map_err(error);
    }
    // Port 0: all sockets must get the port that the first one got.
    let address = alone.local_addr().map_err(error)?;
    drop(alone);
    (0..count).map(|_| open(address, true, backlog).map_err(error)).collect()
}

fn open(address: SocketAddr, shared: bool, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    if shared {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    let _ = shared;
    if address.is_ipv6() {
        // Envoy's default (`ipv4_compat: false`): an IPv6 address is IPv6 only.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn workers_share_one_port() {
        let sockets = bind("listener", any(), 3, Sharing::ReusePort, None).expect("free");
        let ports: Vec<_> = sockets.iter().map(|s| s.local_addr().expect("bound").port()).collect();
        assert_eq!(ports, [ports[0]; 3]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn workers_share_one_socket_where_the_port_may_not_be_shared() {
        let inode = |socket: &TcpListener| {
            use std::os::fd::AsRawFd;
            std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).expect("open")
        };
        for (sharing, is_one) in [(Sharing::OneSocket, true), (Sharing::ReusePort, false)] {
            let sockets = bind("listener", any(), 2, sharing, None).expect("free");
            assert_eq!(sockets.len(), 2);
            assert_eq!(inode(&sockets[0]) == inode(&sockets[1]), is_one);
            let shared = socket2::SockRef::from(&sockets[0]).reuse_port().expect("an option");
            assert_eq!(shared, !is_one);
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = bind("first", any(), 2, Sharing::ReusePort, None).expect("free");
        let address = taken[0].local_addr().expect("bound");
        for count in [1, 2] {
            let error =
                bind("listener `a`", address, count, Sharing::ReusePort, None).expect_err("taken");
            let expected = format!(
                "listener `a`: cannot bind: port {} is taken on 127.0.0.1 (address already in use)",
                address.port()
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}
