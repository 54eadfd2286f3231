//! Lookups against a DNS server and a hosts file of the test's own.
#![cfg(feature = "dns")]

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use front_proxy_layers::discover::dns::{
    DnsResolver, DnsResolverOptions, LookupError, LookupFamily, Refresh, Resolver, Settings,
    StrictDns, Target,
};
use front_proxy_layers::discover::{Member, MemberSet, UpdateStats};
use front_proxy_layers::stats::Scope;
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

#[derive(Clone)]
enum Say {
    Addresses(Vec<(&'static str, u32)>),
    /// The addresses, but only over TCP.
    Truncated(Vec<(&'static str, u32)>),
    Alias(&'static str, u32),
    Code(ResponseCode),
    Nothing,
}

/// A DNS server that answers from a table and remembers what it was asked.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    table: Arc<Mutex<HashMap<String, Say>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let udp = UdpSocket::bind(tcp.local_addr().unwrap()).await.unwrap();
        let server = Self {
            address: udp.local_addr().unwrap(),
            table: Arc::default(),
            asked: Arc::default(),
        };
        let over_udp = server.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((len, peer)) = udp.recv_from(&mut buffer).await {
                if let Some(reply) = over_udp.reply(&buffer[..len], "udp") {
                    udp.send_to(&reply, peer).await.unwrap();
                }
            }
        });
        let over_tcp = server.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let server = over_tcp.clone();
                tokio::spawn(async move {
                    while let Ok(len) = stream.read_u16().await {
                        let mut query = vec![0; len.into()];
                        stream.read_exact(&mut query).await.unwrap();
                        if let Some(reply) = server.reply(&query, "tcp") {
                            stream.write_u16(reply.len().try_into().unwrap()).await.unwrap();
                            stream.write_all(&reply).await.unwrap();
                        }
                    }
                });
            }
        });
        server
    }

    fn say(&self, name: &str, say: Say) {
        self.table.lock().unwrap().insert(name.to_owned(), say);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn reply(&self, query: &[u8], over: &str) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).unwrap();
        let question = query.queries[0].clone();
        let (name, kind) = (question.name().clone(), question.query_type());
        let key = name.to_string();
        self.asked.lock().unwrap().push(format!("{key} {kind} {over}"));
        let say = self.table.lock().unwrap().get(&key).cloned();

        let mut reply = Message::response(query.id, OpCode::Query);
        reply.add_query(question);
        match say.unwrap_or(Say::Code(ResponseCode::NXDomain)) {
            Say::Nothing => return None,
            Say::Code(code) => reply.metadata.response_code = code,
            Say::Truncated(_) if over == "udp" => reply.metadata.truncation = true,
            Say::Addresses(list) | Say::Truncated(list) => {
                for (address, ttl) in list {
                    let data = RData::from(address.parse::<IpAddr>().unwrap());
                    if data.record_type() == kind {
                        reply.add_answer(Record::from_rdata(name.clone(), ttl, data));
                    }
                }
            }
            Say::Alias(to, ttl) => {
                let to = Name::from_ascii(to).unwrap();
                let alias = RData::CNAME(CNAME(to.clone()));
                reply.add_answer(Record::from_rdata(name, ttl, alias));
                if kind == RecordType::A {
                    let data = RData::from(IpAddr::from([10, 0, 0, 9]));
                    reply.add_answer(Record::from_rdata(to, 60, data));
                }
            }
        }
        Some(reply.to_vec().unwrap())
    }

    fn resolver(&self) -> DnsResolver {
        DnsResolver::new(self.options())
    }

    fn options(&self) -> DnsResolverOptions {
        DnsResolverOptions {
            resolvers: vec![self.address],
            no_search: true,
            timeout: Duration::from_millis(400),
            hosts_file: PathBuf::from("/nonexistent/hosts"),
            ..DnsResolverOptions::default()
        }
    }
}

async fn v4(resolver: &DnsResolver, name: &str) -> Result<(Vec<String>, u64), LookupError> {
    let answer = resolver.lookup(name, LookupFamily::V4Only).await?;
    let addresses = answer.addresses.iter().map(IpAddr::to_string).collect();
    Ok((addresses, answer.ttl.as_secs()))
}

fn found(addresses: &[&str], ttl: u64) -> Result<(Vec<String>, u64), LookupError> {
    Ok((addresses.iter().map(|&a| a.to_owned()).collect(), ttl))
}

#[tokio::test]
async fn addresses_come_with_the_lowest_ttl() {
    let server = Server::start().await;
    server.say("a.test.", Say::Addresses(vec![("10.0.0.1", 5), ("10.0.0.2", 2)]));
    server.say("alias.test.", Say::Alias("real.test.", 7));
    let resolver = server.resolver();
    assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.1", "10.0.0.2"], 2));
    assert_eq!(v4(&resolver, "alias.test").await, found(&["10.0.0.9"], 7));
}

#[tokio::test]
async fn nothing_is_cached_be_it_there_or_not() {
    let server = Server::start().await;
    let resolver = server.resolver();
    for _ in 0..2 {
        server.say("a.test.", Say::Addresses(vec![("10.0.0.1", 600)]));
        assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.1"], 600));
        server.say("a.test.", Say::Code(ResponseCode::NXDomain));
        assert_eq!(v4(&resolver, "a.test").await, Err(LookupError::NotFound));
        server.say("a.test.", Say::Addresses(vec![]));
        assert_eq!(v4(&resolver, "a.test").await, Err(LookupError::NotFound));
    }
    assert_eq!(server.asked(), ["a.test. A udp"; 6]);
}

#[tokio::test]
async fn no_answer_to_rely_on_is_a_failure() {
    let server = Server::start().await;
    let resolver = server.resolver();
    for say in [Say::Code(ResponseCode::ServFail), Say::Code(ResponseCode::Refused), Say::Nothing] {
        server.say("a.test.", say);
        let Err(LookupError::Failed { reason }) = v4(&resolver, "a.test").await else {
            panic!("not a failure");
        };
        assert!(reason.starts_with("127.0.0.1: "), "{reason}");
    }
    // And it recovers.
    server.say("a.test.", Say::Addresses(vec![("10.0.0.1", 1)]));
    assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.1"], 1));
}

#[tokio::test]
async fn truncated_answers_are_asked_for_again_over_tcp() {
    let server = Server::start().await;
    server.say("a.test.", Say::Truncated(vec![("10.0.0.1", 1), ("10.0.0.2", 1)]));
    assert_eq!(v4(&server.resolver(), "a.test").await, found(&["10.0.0.1", "10.0.0.2"], 1));
    assert_eq!(server.asked(), ["a.test. A udp", "a.test. A tcp"]);

    let tcp_only = DnsResolver::new(DnsResolverOptions { use_tcp: true, ..server.options() });
    assert!(v4(&tcp_only, "a.test").await.is_ok());
    assert_eq!(server.asked(), ["a.test. A tcp"]);
}

#[tokio::test]
async fn servers_stand_in_for_each_other_but_not_against_an_answer() {
    let (first, second) = (Server::start().await, Server::start().await);
    let resolver = DnsResolver::new(DnsResolverOptions {
        resolvers: vec![first.address, second.address],
        ..first.options()
    });
    second.say("a.test.", Say::Addresses(vec![("10.0.0.2", 1)]));
    // The first knows that there is no such name: the second isn't asked.
    assert_eq!(v4(&resolver, "a.test").await, Err(LookupError::NotFound));
    assert!(second.asked().is_empty());

    first.say("a.test.", Say::Nothing);
    assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.2"], 1));
    // One that failed is the last to be asked from now on.
    first.asked();
    assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.2"], 1));
    assert!(first.asked().is_empty());
}

#[tokio::test]
async fn some_names_are_never_asked_for() {
    let server = Server::start().await;
    let resolver = server.resolver();
    assert_eq!(v4(&resolver, "10.1.2.3").await, found(&["10.1.2.3"], 0));
    assert_eq!(v4(&resolver, "localhost").await, found(&["127.0.0.1"], 0));
    assert_eq!(v4(&resolver, "app.LOCALHOST.").await, found(&["127.0.0.1"], 0));
    let all = resolver.lookup("localhost", LookupFamily::All).await.unwrap();
    assert_eq!(all.addresses.len(), 2);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn the_hosts_file_goes_first_and_is_read_again() {
    let server = Server::start().await;
    server.say("a.test.", Say::Addresses(vec![("10.0.0.1", 1)]));
    let path = std::env::temp_dir().join(format!("front-proxy-hosts-{}", std::process::id()));
    let resolver =
        DnsResolver::new(DnsResolverOptions { hosts_file: path.clone(), ..server.options() });
    // No file yet.
    assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.1"], 1));

    std::fs::write(&path, "10.0.0.5 a.test b # c\n10.0.0.6\tA.test\n").unwrap();
    server.asked();
    assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.5", "10.0.0.6"], 0));
    assert!(server.asked().is_empty());
    // It has no address of the family: DNS may have one.
    let v6 = resolver.lookup("a.test", LookupFamily::V6Only).await;
    assert_eq!(v6, Err(LookupError::NotFound));
    assert_eq!(server.asked(), ["a.test. AAAA udp"]);

    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"10.0.0.7 a.test\n").unwrap();
    assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.5", "10.0.0.6", "10.0.0.7"], 0));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(v4(&resolver, "a.test").await, found(&["10.0.0.1"], 1));
}

#[derive(Default)]
struct Members(Mutex<Vec<Member>>);

impl MemberSet for Members {
    fn update(&self, members: Vec<Member>) -> bool {
        *self.0.lock().unwrap() = members;
        true
    }
}

impl Members {
    async fn until(&self, expected: &[&str]) {
        for _ in 0..400 {
            let now: Vec<_> =
                self.0.lock().unwrap().iter().map(|m| m.address.to_string()).collect();
            if now == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never became {expected:?}: {:?}", self.0.lock().unwrap());
    }
}

#[tokio::test]
async fn strict_dns_follows_a_real_server_faster_than_its_ttl() {
    let server = Server::start().await;
    server.say("a.test.", Say::Addresses(vec![("10.0.0.1", 600)]));
    let members = Arc::new(Members::default());
    let discovery = StrictDns::new(
        vec![Target::new("a.test", 80), Target::new("10.9.9.9", 81)],
        server.resolver(),
        Settings {
            refresh: Refresh { rate: Duration::from_millis(20), ..Refresh::default() },
            ..Settings::default()
        },
        UpdateStats::new(&Scope::noop()),
    );
    let task = tokio::spawn(discovery.run(Arc::clone(&members)));
    members.until(&["10.0.0.1:80", "10.9.9.9:81"]).await;
    server.say("a.test.", Say::Addresses(vec![("10.0.0.1", 600), ("10.0.0.2", 600)]));
    members.until(&["10.0.0.1:80", "10.0.0.2:80", "10.9.9.9:81"]).await;
    server.say("a.test.", Say::Code(ResponseCode::ServFail));
    tokio::time::sleep(Duration::from_millis(200)).await;
    members.until(&["10.0.0.1:80", "10.0.0.2:80", "10.9.9.9:81"]).await;
    server.say("a.test.", Say::Code(ResponseCode::NXDomain));
    members.until(&["10.9.9.9:81"]).await;
    task.abort();
}
