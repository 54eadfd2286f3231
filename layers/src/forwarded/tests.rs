use http::{HeaderMap, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn peer() -> Peer {
    Peer { address: "192.0.2.7:4711".parse().expect("an address"), tls: false }
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

#[test]
fn the_client_is_who_trusted_proxies_say() {
    let given = "203.0.113.9, 198.51.100.7";
    for (use_remote_address, hops, skip_xff_append, want) in [
        (false, 0, false, "198.51.100.7:0"),
        (false, 1, false, "203.0.113.9:0"),
        (false, 2, false, "192.0.2.7:4711"),
        (true, 0, false, "192.0.2.7:4711"),
        (true, 0, true, "192.0.2.7:4711"),
        (true, 1, false, "198.51.100.7:0"),
        (true, 1, true, "198.51.100.7:0"),
        (true, 2, false, "203.0.113.9:0"),
    ] {
        let policy = ForwardedPolicy {
            use_remote_address,
            xff_num_trusted_hops: hops,
            skip_xff_append,
            ..ForwardedPolicy::default()
        };
        let mut headers = headers(&[("x-forwarded-for", given)]);
        policy.apply(&mut headers, peer(), None);
        let client = policy.client_address(&headers, peer());
        let case = format!("{use_remote_address} {hops} {skip_xff_append}");
        assert_eq!(client.to_string(), want, "{case}");
        if use_remote_address {
            let external = headers["x-envoy-external-address"].to_str().expect("text");
            assert_eq!(external, client.ip().to_string(), "{case}");
        }
    }
}

#[test]
fn this_machine_goes_by_its_address_in_the_list_only() {
    let policy = ForwardedPolicy {
        use_remote_address: true,
        local_address: Some("192.0.2.1".parse().expect("an address")),
        ..ForwardedPolicy::default()
    };
    let local = Peer { address: "127.0.0.1:1".parse().expect("an address"), tls: false };
    for ipv4_as_mapped_ipv6 in [false, true] {
        let policy = ForwardedPolicy { ipv4_as_mapped_ipv6, ..policy.clone() };
        let mut headers = HeaderMap::new();
        policy.apply(&mut headers, local, None);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers["x-envoy-external-address"], "127.0.0.1");
    }
}

#[test]
fn client_certificates_are_passed_on_as_asked() {
    use ForwardClientCert as Rule;
    let own = HeaderValue::from_static("Hash=own");
    for (rule, without, with) in [
        (Rule::Sanitize, None, None),
        (Rule::ForwardOnly, None, Some("Hash=theirs")),
        (Rule::AppendForward, None, Some("Hash=theirs,Hash=own")),
        (Rule::SanitizeSet, None, Some("Hash=own")),
        (Rule::AlwaysForwardOnly, Some("Hash=theirs"), Some("Hash=theirs")),
    ] {
        let policy = ForwardedPolicy { client_cert: rule, ..ForwardedPolicy::default() };
        for (certificate, want) in [(None, without), (Some(&own), with)] {
            let mut headers = headers(&[("x-forwarded-client-cert", "Hash=theirs")]);
            policy.apply(&mut headers, peer(), certificate);
            let got = headers.get("x-forwarded-client-cert").map(|v| v.to_str().expect("text"));
            assert_eq!(got, want, "{rule:?} {certificate:?}");
        }
    }
}

#[test]
fn a_user_agent_is_given_only_where_there_is_none() {
    let policy = ForwardedPolicy {
        service_cluster: Some(HeaderValue::from_static("front")),
        service_node: Some(HeaderValue::from_static("node-1")),
        ..ForwardedPolicy::default()
    };
    for (given, want) in [(&[][..], "front"), (&[("user-agent", "curl")], "curl")] {
        let mut headers = headers(given);
        policy.apply(&mut headers, peer(), None);
        assert_eq!(headers["user-agent"], want);
        assert_eq!(headers["x-envoy-downstream-service-cluster"], "front");
        assert_eq!(headers["x-envoy-downstream-service-node"], "node-1");
    }
}

/// Lines of `x-forwarded-for` as an attacker may write them.
fn forwarded_for() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let entry = prop_oneof![
        Just(b"203.0.113.9".to_vec()),
        Just(b"::1".to_vec()),
        Just(b"10.0.0.1:80".to_vec()),
        Just(b"unknown".to_vec()),
        Just(b"".to_vec()),
        vec(prop_oneof![Just(b','), Just(b' '), b'!'..=b'~', 0x80..=0xffu8], 0..12),
    ];
    vec(vec(entry, 0..5).prop_map(|entries| entries.join(&b',')), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing that a client writes changes who it is where nobody is trusted; what it wrote stays
    /// before what we add, and its controls go.
    #[test]
    fn a_client_can_not_choose_who_it_is(
        lines in forwarded_for(),
        hops in 0..3u32,
        use_remote_address in any::<bool>(),
        control in "[ -~]{0,9}",
    ) {
        let policy = ForwardedPolicy {
            use_remote_address,
            xff_num_trusted_hops: hops,
            ..ForwardedPolicy::default()
        };
        let mut headers = HeaderMap::new();
        for line in &lines {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line).expect("a value"));
        }
        headers.insert("x-envoy-internal", HeaderValue::from_str(&control).expect("a value"));
        policy.apply(&mut headers, peer(), None);
        prop_assert!(!headers.contains_key("x-envoy-internal"));
        let client = policy.client_address(&headers, peer());
        if use_remote_address {
            if hops == 0 {
                prop_assert_eq!(client, peer().address);
            }
            let now: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
            prop_assert_eq!(now.len(), 1);
            let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
            let mut want = lines.join(&b',');
            if !want.is_empty() {
                want.push(b',');
            }
            want.extend_from_slice(b"192.0.2.7");
            prop_assert_eq!(now[0].as_bytes(), &want[..]);
        } else {
            prop_assert_eq!(headers.get_all("x-forwarded-for").iter().count(), lines.len());
        }
    }
}
