//! Certificates on both sides: who is trusted, by which name, and what happens when files change.
#![allow(clippy::mod_module_files, reason = "modules of a test binary")]

mod certs;
mod proxy;

use std::net::IpAddr;
use std::sync::Arc;

use certs::{Authority, Secret, dns, self_signed};
use proxy::{BY, Proxy, client_config, cluster, get_by_tls, get_with, until, upstream};
use rcgen::SanType;

fn trusting(ca: &str, rest: &str) -> String {
    format!(
        "common_tls_context: {{validation_context: {{trusted_ca: {{inline_string: {ca:?}}}{rest}}}}}"
    )
}

fn named(kind: &str, matcher: &str) -> String {
    format!(", match_typed_subject_alt_names: [{{san_type: {kind}, matcher: {{{matcher}}}}}]")
}

#[tokio::test]
async fn an_upstream_is_known_by_its_names() {
    let ca = Authority::new("ca");
    let address = upstream(&ca.sign(vec![
        dns("*.example.com"),
        dns("other.example"),
        SanType::URI("spiffe://mesh/backend".try_into().unwrap()),
        SanType::Rfc822Name("ops@example.com".try_into().unwrap()),
        SanType::IpAddress(IpAddr::from([127, 0, 0, 9])),
        SanType::IpAddress("fd00::9".parse().unwrap()),
        SanType::OtherName((
            vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3],
            rcgen::OtherNameValue::Utf8String("user@d".to_owned()),
        )),
    ]))
    .await;
    let other = ", oid: 1.3.6.1.4.1.311.20.2.3";
    let cases = [
        // As certificates of hosts are compared.
        ("DNS", "exact: WWW.example.com", "", true),
        ("DNS", "exact: a.b.example.com", "", false),
        ("DNS", "exact: example.com", "", false),
        ("DNS", "exact: other.example", "", true),
        // As texts.
        ("DNS", "suffix: .example.com", "", true),
        ("DNS", "suffix: .EXAMPLE.com", "", false),
        ("DNS", "suffix: .EXAMPLE.com, ignore_case: true", "", true),
        ("DNS", "prefix: www", "", false),
        ("DNS", "contains: er.ex", "", true),
        ("DNS", "safe_regex: {regex: 'other\\..*'}", "", true),
        ("DNS", "safe_regex: {regex: other}", "", false),
        ("URI", "prefix: 'spiffe://mesh/'", "", true),
        ("URI", "exact: 'spiffe://mesh/'", "", false),
        ("EMAIL", "exact: ops@example.com", "", true),
        ("EMAIL", "exact: OPS@example.com", "", false),
        ("IP_ADDRESS", "exact: 127.0.0.9", "", true),
        ("IP_ADDRESS", "exact: 'fd00::9'", "", true),
        // That it was reached there is no name.
        ("IP_ADDRESS", "exact: 127.0.0.1", "", false),
        ("OTHER_NAME", "exact: user@d", other, true),
        ("OTHER_NAME", "exact: user@d", ", oid: 1.2.3", false),
        // Another type than the name's.
        ("URI", "exact: other.example", "", false),
    ];
    let names: Vec<_> = (0..cases.len()).map(|n| format!("c{n}")).collect();
    let clusters: Vec<_> = cases
        .iter()
        .zip(&names)
        .map(|((kind, matcher, extra, _), name)| {
            let rest = format!(
                ", match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: none.example}}}}, \
                 {{san_type: {kind}, matcher: {{{matcher}}}{extra}}}]"
            );
            (name.as_str(), cluster(name, address, &trusting(&ca.pem, &rest)))
        })
        .collect();
    let proxy = Proxy::start(None, &clusters).await;
    for ((kind, matcher, extra, accepted), name) in cases.iter().zip(&names) {
        let case = format!("{kind} {matcher}{extra}");
        let (status, body) = proxy.get(&format!("/{name}")).await;
        let stat = |stat: &str| proxy.stat(&format!("cluster.{name}.ssl.{stat}"));
        assert_eq!(status, if *accepted { 200 } else { 503 }, "{case}: {body}");
        assert_eq!(stat("handshake"), u64::from(*accepted), "{case}");
        assert_eq!(stat("fail_verify_san"), u64::from(!accepted), "{case}");
        assert_eq!((stat("fail_verify_error"), stat("connection_error")), (0, 0), "{case}");
    }
}

#[tokio::test]
async fn an_upstream_is_trusted_for_who_signed_it() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let own = self_signed();
    let signed = upstream(&ca.sign_host("backend.example")).await;
    let alone = upstream(&own).await;
    let sni = "sni: front.example, ";
    let clusters = [
        // No validation context: nothing is verified.
        ("unverified", cluster("unverified", alone, "sni: front.example")),
        // Without names the authority is enough, whatever host was asked for.
        ("signed", cluster("signed", signed, &(sni.to_owned() + &trusting(&ca.pem, "")))),
        ("stranger", cluster("stranger", signed, &trusting(&stranger.pem, ""))),
        // Pinned: the certificate is itself the one that is trusted, though it may sign others.
        ("pinned", cluster("pinned", alone, &trusting(&own.chain, ""))),
        ("unpinned", cluster("unpinned", alone, &trusting(&self_signed().chain, ""))),
    ];
    let proxy = Proxy::start(None, &clusters).await;
    for (name, accepted) in [
        ("unverified", true),
        ("signed", true),
        ("stranger", false),
        ("pinned", true),
        ("unpinned", false),
    ] {
        let (status, body) = proxy.get(&format!("/{name}")).await;
        assert_eq!(status, if accepted { 200 } else { 503 }, "{name}: {body}");
        let failed = proxy.stat(&format!("cluster.{name}.ssl.fail_verify_error"));
        assert_eq!(failed, u64::from(!accepted), "{name}");
    }
}

#[tokio::test]
async fn a_client_is_known_by_its_names() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let own = ca.sign_host("front.example");
    // As in Envoy a certificate is required where a name is asked for.
    let tls = format!(
        "common_tls_context: {{tls_certificates: [{}], validation_context: {{trusted_ca: \
         {{inline_string: {:?}}}{}}}}}",
        own.inline(),
        ca.pem,
        named("DNS", "exact: client.example")
    );
    let proxy = Proxy::start(Some(&tls), &[]).await;
    let right = ca.sign_host("*.example");
    let (wrong, forged) = (ca.sign_host("other.test"), stranger.sign_host("client.example"));
    let ask = async |own| {
        let answer = get_by_tls(proxy.address, Some("front.example"), own).await;
        answer.map(|(_, status)| status)
    };
    assert_eq!(ask(Some(&right)).await, Some(200));
    assert_eq!(ask(Some(&wrong)).await, None);
    proxy.until_stat("listener.front.ssl.fail_verify_san", 1).await;
    assert_eq!(ask(Some(&forged)).await, None);
    proxy.until_stat("listener.front.ssl.fail_verify_error", 1).await;
    assert_eq!(ask(None).await, None);
    proxy.until_stat("listener.front.ssl.fail_verify_no_cert", 1).await;
    assert_eq!(proxy.stat("listener.front.ssl.handshake"), 1);
}

/// A session that is taken up again counts what it began with, as in Envoy.
#[tokio::test]
async fn what_peers_sign_with_is_counted() {
    let ca = Authority::new("ca");
    let (own, client) = (ca.sign_host("front.example"), ca.sign_host("client.example"));
    let tls = format!(
        "common_tls_context: {{tls_certificates: [{}], validation_context: {{trusted_ca: \
         {{inline_string: {:?}}}}}}}",
        own.inline(),
        ca.pem,
    );
    let address = upstream(&own).await;
    let app = cluster("app", address, &trusting(&ca.pem, ""));
    let proxy = Proxy::start(Some(&tls), &[("app", app)]).await;
    let signed = "ssl.sigalgs.ecdsa_secp256r1_sha256";
    let name = Some("front.example");
    assert!(get_by_tls(proxy.address, name, None).await.is_some());
    assert_eq!(proxy.find_stat(&format!("listener.front.{signed}")), None, "it showed none");
    let config = Arc::new(client_config(name, Some(&client)));
    for times in 1..=3 {
        assert!(get_with((proxy.address, "/app"), name, Arc::clone(&config)).await.is_some());
        proxy.until_stat(&format!("listener.front.{signed}"), times).await;
        proxy.until_stat("listener.front.ssl.session_reused", times - 1).await;
    }
    proxy.until_stat(&format!("cluster.app.{signed}"), 3).await;
    assert_eq!(proxy.stat("cluster.app.ssl.handshake"), 3);
}

#[tokio::test]
async fn the_server_name_chooses_among_certificates() {
    let ca = Authority::new("ca");
    let (first, second) = (ca.sign_host("a.example"), ca.sign_host("*.b.example"));
    let tls = format!(
        "common_tls_context: {{tls_certificates: [{}, {}]}}",
        first.inline(),
        second.inline()
    );
    let proxy = Proxy::start(Some(&tls), &[]).await;
    for (name, want) in [
        (Some("a.example"), &first),
        (Some("www.b.example"), &second),
        (Some("b.example"), &first),
        (None, &first),
    ] {
        let (got, status) = get_by_tls(proxy.address, name, None).await.unwrap();
        assert_eq!((&got, status), (&want.certificates()[0], 200), "{name:?}");
    }
}

#[tokio::test]
async fn a_client_is_told_of_by_the_certificate_that_it_got() {
    let ca = Authority::new("ca");
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    let first = ca.sign(vec![dns("a.example"), uri("urn:first")]);
    let second = ca.sign(vec![dns("b.example"), uri(BY)]);
    let tls = format!(
        "common_tls_context: {{tls_certificates: [{}, {}], validation_context: {{trusted_ca: \
         {{inline_string: {:?}}}}}}}",
        first.inline(),
        second.inline(),
        ca.pem,
    );
    let proxy = Proxy::start(Some(&tls), &[]).await;
    let client = ca.sign_host("client.example");
    for (name, want) in [(Some("a.example"), 200), (Some("b.example"), 202), (None, 200)] {
        let (_, status) = get_by_tls(proxy.address, name, Some(&client)).await.unwrap();
        assert_eq!(status, want, "{name:?}");
    }
}

#[tokio::test]
async fn certificates_are_taken_anew_when_their_files_change() {
    let ca = Authority::new("ca");
    let (old, new) = (ca.sign_host("a.example"), ca.sign_host("a.example"));
    let mut secret = Secret::new(&old);
    let tls = format!("common_tls_context: {{tls_certificates: [{}]}}", secret.config());
    let proxy = Proxy::start(Some(&tls), &[]).await;
    let shown = async || get_by_tls(proxy.address, Some("a.example"), None).await.unwrap().0;
    let counter = |name: &str| format!("listener.front.server_ssl_socket_factory.{name}");
    assert_eq!(shown().await, old.certificates()[0]);
    secret.replace(&new);
    until("the new certificate", async || shown().await == new.certificates()[0]).await;
    assert_eq!(proxy.stat(&counter("ssl_context_update_by_sds")), 1);
    assert_eq!(proxy.stat(&counter("key_rotation_failed")), 0);

    // A key that is not the certificate's: all stays as it was, and it is counted.
    let mut torn = old.clone();
    torn.key.clone_from(&ca.sign_host("a.example").key);
    secret.replace(&torn);
    proxy.until_stat(&counter("key_rotation_failed"), 1).await;
    assert_eq!(shown().await, new.certificates()[0]);
    // So is a file that is not there.
    std::fs::remove_file(secret.path("..data/tls.key")).unwrap();
    proxy.until_stat(&counter("key_rotation_failed"), 2).await;
    assert_eq!(shown().await, new.certificates()[0]);

    secret.replace(&old);
    until("the old certificate again", async || shown().await == old.certificates()[0]).await;
    assert_eq!(proxy.stat(&counter("ssl_context_update_by_sds")), 2);
}

#[tokio::test]
async fn an_upstreams_authority_is_taken_anew_when_its_file_changes() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let address = upstream(&ca.sign_host("backend.example")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    std::fs::write(&file, &stranger.pem).unwrap();
    let tls = format!(
        "common_tls_context: {{validation_context: {{trusted_ca: {{filename: {file:?}}}}}}}"
    );
    let proxy = Proxy::start(None, &[("a", cluster("a", address, &tls))]).await;
    assert_eq!(proxy.get("/a").await.0, 503);
    // Written in place.
    std::fs::write(&file, &ca.pem).unwrap();
    until("the upstream to be trusted", async || proxy.get("/a").await.0 == 200).await;
    // And no longer, even where a session could be resumed.
    std::fs::write(&file, &stranger.pem).unwrap();
    until("the upstream to be trusted no more", async || proxy.get("/a").await.0 == 503).await;
    let updates = "cluster.a.client_ssl_socket_factory.ssl_context_update_by_sds";
    assert_eq!(proxy.stat(updates), 2);
}
