//! The sandbox with proxies that are only noted down; everything else is real.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use front_proxy_layers::discover::dns::{
    DnsResolver, DnsResolverOptions, LookupError, LookupFamily, Resolver,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Notes what is started with which bootstrap, and what is stopped.
#[derive(Clone, Debug, Default)]
struct Notes {
    started: Arc<Mutex<Vec<(String, String)>>>,
    stopped: Arc<Mutex<Vec<String>>>,
    refuse: Option<&'static str>,
}

impl Notes {
    fn front(&self) -> String {
        let started = self.started.lock().unwrap();
        let front = started.iter().find(|(name, _)| name == "front-proxy");
        front.unwrap().1.clone()
    }

    fn stopped(&self) -> usize {
        self.stopped.lock().unwrap().len()
    }
}

impl StartProxy for Notes {
    async fn start(&self, bootstrap: &str, name: &str) -> Result<RunningProxy, BoxError> {
        if self.refuse.is_some_and(|refuse| name.starts_with(refuse)) {
            return Err("refused".into());
        }
        let (name, stopped) = (name.to_owned(), Arc::clone(&self.stopped));
        self.started.lock().unwrap().push((name.clone(), bootstrap.to_owned()));
        let admin = SocketAddr::from(([127, 0, 0, 1], 1));
        Ok(RunningProxy::new(admin, move || async move {
            stopped.lock().unwrap().push(name);
        }))
    }
}

/// Ports that are free now.
fn options() -> Options {
    let sockets = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [http_port, https_port, admin_port, service_port] =
        sockets.map(|socket| socket.local_addr().unwrap().port());
    Options {
        http_port,
        https_port,
        admin_port,
        service_port,
        control_port: 0,
        ..Options::default()
    }
}

/// Asks as the front proxy would: the server that its bootstrap names.
async fn resolve(front: &str, name: &str) -> Result<Vec<IpAddr>, LookupError> {
    let (_, rest) = front.split_once("resolvers:").unwrap();
    let (_, port) = rest.split_once("port_value: ").unwrap();
    let port: u16 = port.lines().next().unwrap().parse().unwrap();
    let resolver = DnsResolver::new(DnsResolverOptions {
        resolvers: vec![([127, 0, 0, 1], port).into()],
        no_search: true,
        ..DnsResolverOptions::default()
    });
    let answer = resolver.lookup(name, LookupFamily::V4Only).await?;
    Ok(answer.addresses)
}

fn addresses(instances: &[InstanceInfo]) -> Vec<IpAddr> {
    instances.iter().map(|i| i.sidecar.ip()).collect()
}

async fn post(address: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn names_follow_the_scale_and_instances_leave_them_before_they_stop() {
    let notes = Notes::default();
    let sandbox = Sandbox::start(options(), notes.clone()).await.unwrap();
    let front = notes.front();
    let all = sandbox.instances().await;
    assert_eq!(addresses(&all), [IpAddr::from([127, 0, 1, 1]), [127, 0, 2, 1].into()]);
    assert_eq!(resolve(&front, "service1").await.unwrap(), addresses(&all[..1]));
    assert_eq!(resolve(&front, "SERVICE2").await.unwrap(), addresses(&all[1..]));
    assert_eq!(resolve(&front, "service3").await, Err(LookupError::NotFound));

    let three = sandbox.scale(&Scale::new("service1", 3)).await.unwrap();
    assert_eq!(three.len(), 3);
    assert_eq!(three[0], all[0]);
    assert_eq!(resolve(&front, "service1").await.unwrap(), addresses(&three));

    let one = sandbox.scale(&Scale::new("service1", 1)).await.unwrap();
    assert_eq!(one, all[..1]);
    assert_eq!(resolve(&front, "service1").await.unwrap(), addresses(&one));
    // Those that left still serve whoever has not noticed yet, and keep their addresses.
    assert_eq!(notes.stopped(), 0);
    assert!(TcpStream::connect(three[1].app).await.is_ok());
    let two = sandbox.scale(&Scale::new("service1", 2)).await.unwrap();
    assert_eq!(two[1].sidecar.ip(), IpAddr::from([127, 0, 1, 4]));

    for _ in 0..500 {
        if notes.stopped() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(notes.stopped(), 2);

    sandbox.scale(&Scale::new("service2", 0)).await.unwrap();
    assert_eq!(resolve(&front, "service2").await, Err(LookupError::NotFound));

    sandbox.shutdown().await;
    let stopped = notes.stopped.lock().unwrap().clone();
    assert_eq!(stopped.len(), 6);
    assert_eq!(stopped[2], "front-proxy");
    assert!(TcpStream::connect(two[1].app).await.is_err());
}

#[tokio::test]
async fn apps_answer_on_addresses_of_their_own_and_sidecars_know_them() {
    let notes = Notes::default();
    let start = Options { scale: vec![Scale::new("service1", 2)], ..options() };
    let sandbox = Sandbox::start(start, notes.clone()).await.unwrap();
    let instances = sandbox.instances().await;
    assert_eq!(instances.len(), 3);
    for instance in &instances {
        let InstanceInfo { hostname, app, service, .. } = instance;
        let number = service.trim_start_matches("service");
        let request = format!("GET /service/{number} HTTP/1.1\r\nhost: a\r\n");
        let response = post(*app, &request, "").await;
        let expected = format!(
            "Hello from behind Envoy (service {number})! hostname: {hostname} resolvedhostname: {}\n",
            app.ip()
        );
        assert!(response.ends_with(&expected));

        let started = notes.started.lock().unwrap();
        let (_, bootstrap) =
            started.iter().find(|(name, _)| *name == format!("{service}-{hostname}")).unwrap();
        for part in [
            format!("port_value: {}\n", app.port()),
            format!("address: {}\n", app.ip()),
            format!("prefix: /service/{number}\n"),
        ] {
            assert!(bootstrap.contains(&part), "{part} in {bootstrap}");
        }
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_second_terminal_scales_and_a_web_page_does_not() {
    let notes = Notes::default();
    let sandbox = Sandbox::start(options(), notes.clone()).await.unwrap();
    let control = sandbox.control_address();

    let text = scale(control, "service1", 3).await.unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    let found = resolve(&notes.front(), "service1").await.unwrap();
    assert_eq!(found.len(), 3);

    let error = scale(control, "service9", 1).await.unwrap_err().to_string();
    assert_eq!(error, "there is no service `service9`; there are service1 and service2");
    let error = scale(control, "service1", 1000).await.unwrap_err().to_string();
    assert!(error.contains("too many"), "{error}");

    let host = format!("host: {control}\r\n");
    for (head, body, status) in [
        (format!("POST /scale HTTP/1.1\r\n{host}"), "service1=2", 200),
        (format!("POST /scale HTTP/1.1\r\n{host}"), "service1", 400),
        (format!("GET /scale HTTP/1.1\r\n{host}"), "", 405),
        (format!("POST /scale HTTP/1.1\r\n{host}origin: http://{control}\r\n"), "service1=5", 403),
        ("POST /scale HTTP/1.1\r\nhost: rebound.example\r\n".to_owned(), "service1=5", 403),
    ] {
        let response = post(control, &head, body).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{head}{response}");
    }
    assert_eq!(sandbox.instances().await.len(), 3);

    let guide = sandbox.guide().await;
    assert!(guide.contains(&format!("scale service1=3 --control-port {}", control.port())));
    sandbox.shutdown().await;
    assert!(matches!(scale(control, "service1", 1).await, Err(Error::Control { .. })));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_before_anything_starts() {
    for flag in ["--http-port", "--https-port", "--admin-port", "--control-port", "--service-port"]
    {
        let notes = Notes::default();
        let ip = if flag == "--service-port" { [127, 0, 1, 1] } else { [127, 0, 0, 1] };
        let taken = TcpListener::bind((IpAddr::from(ip), 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut options = options();
        match flag {
            "--http-port" => options.http_port = port,
            "--https-port" => options.https_port = port,
            "--admin-port" => options.admin_port = port,
            "--control-port" => options.control_port = port,
            _ => options.service_port = port,
        }
        let error = Sandbox::start(options, notes.clone()).await.unwrap_err();
        assert!(matches!(error, Error::PortTaken { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.starts_with(&format!("port {port} is taken")), "{message}");
        assert!(message.ends_with(flag), "{message}");
        assert!(notes.started.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_started_is_stopped_when_something_else_does_not_start() {
    let notes = Notes { refuse: Some("front-proxy"), ..Notes::default() };
    let error = Sandbox::start(options(), notes.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), "front-proxy did not start: refused");
    assert_eq!(notes.stopped(), 2);

    let unknown = Options { scale: vec![Scale::new("service7", 1)], ..options() };
    let error = Sandbox::start(unknown, notes.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Scale(_)), "{error:?}");
    assert_eq!(notes.started.lock().unwrap().len(), 2);

    let mut twice = options();
    twice.admin_port = twice.http_port;
    let error = Sandbox::start(twice, notes).await.unwrap_err().to_string();
    assert!(error.ends_with("--admin-port"), "{error}");
}

#[test]
fn a_missing_loopback_address_is_explained() {
    let error = Error::bind(
        "a sidecar",
        ([127, 0, 1, 2], 8000).into(),
        "--service-port",
        io::ErrorKind::AddrNotAvailable.into(),
    );
    let message = error.to_string();
    assert!(message.contains("no address 127.0.1.2"), "{message}");
    assert!(message.contains("ifconfig lo0 alias 127.0.1.2"), "{message}");
}

#[test]
fn the_front_proxy_has_a_certificate_of_its_name() {
    let pair = certificate::self_signed("front-envoy").unwrap();
    assert!(pair.chain.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(pair.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    let other = certificate::self_signed("front-envoy").unwrap();
    assert_ne!(pair.key, other.key);
}

#[test]
fn a_scale_is_a_name_and_a_number() {
    assert_eq!("service1=3".parse(), Ok(Scale::new("service1", 3)));
    for bad in ["service1", "=3", "service1=", "service1=-1", "service1=x"] {
        assert!(bad.parse::<Scale>().is_err(), "{bad}");
    }
}
