//! A DNS server that answers for the services' names, as Docker's does inside a compose network.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::Error;

/// Seconds. Short, so that whoever caches answers sees a change soon.
const TTL: u32 = 1;

/// The addresses of each service.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Arc<RwLock<HashMap<String, Vec<Ipv4Addr>>>>);

impl Names {
    /// From now on, `name` has these addresses; with none, there is no such name.
    pub(super) fn set(&self, name: &str, addresses: Vec<Ipv4Addr>) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned(), addresses);
    }

    fn of(&self, name: &str) -> Vec<Ipv4Addr> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        names.get(name).cloned().unwrap_or_default()
    }
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct DnsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl DnsServer {
    pub(super) async fn start(port: u16, names: Names) -> Result<Self, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = |error| Error::bind("the DNS server (UDP)", address, "--dns-port", error);
        let socket = UdpSocket::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { address, task: tokio::spawn(serve(socket, names)) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, names: Names) {
    // Longer than any query for a name; what is cut off does not parse and is ignored.
    let mut buffer = [0; 1500];
    loop {
        let outcome = async {
            let (len, peer) = socket.recv_from(&mut buffer).await?;
            match reply(&buffer[..len], &names) {
                Some(reply) => socket.send_to(&reply, peer).await.map(drop),
                None => Ok::<_, io::Error>(()),
            }
        };
        if let Err(error) = outcome.await {
            // A client that went away shows up here; so might a broken socket, which must not spin.
            tracing::debug!(%error, "DNS server");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The reply to a query. `None` for what isn't one: nobody is told anything about that.
fn reply(query: &[u8], names: &Names) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let question = query.queries.first()?;
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(question.clone());

    let name = question.name().to_lowercase().to_string();
    let addresses = names.of(name.trim_end_matches('.'));
    if query.metadata.op_code != OpCode::Query {
        reply.metadata.response_code = ResponseCode::NotImp;
    } else if addresses.is_empty() {
        reply.metadata.response_code = ResponseCode::NXDomain;
    } else if question.query_type() == RecordType::A {
        reply.add_answers(
            addresses.into_iter().map(|address| {
                Record::from_rdata(question.name().clone(), TTL, RData::A(A(address)))
            }),
        );
    }
    reply.to_vec().ok()
}
