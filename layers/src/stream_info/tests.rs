use std::net::SocketAddr;
use std::time::Duration;

use http::Request;

use super::*;
use crate::cluster::Cluster;
use crate::discover::{Member, MemberSet};
use crate::error::ErrorKind;
use crate::format::{Format, FormatContext};
use crate::response_flags::ResponseFlag;

fn info() -> StreamInfo {
    let peer: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
    let downstream =
        DownstreamConnection { remote_address: Some(peer), ..DownstreamConnection::default() };
    StreamInfo::new(Arc::new(downstream), Version::HTTP_11)
}

fn render(info: &StreamInfo, format: &str) -> String {
    String::from_utf8(Format::parse(format).expect("a format").render(info)).expect("text")
}

#[test]
fn nothing_is_known_at_first() {
    let info = info();
    let text = render(
        &info,
        "%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_HOST% %UPSTREAM_CLUSTER%",
    );
    assert_eq!(text, "- 0 - - -");
}

#[test]
fn the_client_is_the_peer_until_somebody_knows_better() {
    let info = info();
    let format = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%";
    assert_eq!(render(&info, format), "192.0.2.7 192.0.2.7:4711");
    info.set_client("203.0.113.9:0".parse().expect("an address"));
    assert_eq!(render(&info, format), "203.0.113.9 192.0.2.7:4711");
}

#[test]
fn the_last_endpoint_tried_is_the_upstream() {
    let cluster = Cluster::builder("c").build();
    cluster
        .update(["127.0.0.1:1", "127.0.0.2:2"].map(|at| Member::new(at.parse().unwrap())).into());
    let info = info();
    let endpoints = cluster.endpoints();
    for endpoint in endpoints.iter().chain(&endpoints[..1]) {
        info.try_endpoint(Some(endpoint));
    }
    assert_eq!(info.upstream_host(), Some("127.0.0.1:1".parse().unwrap()));
    assert_eq!(info.upstream_attempt_count(), 3);
}

#[test]
fn the_request_is_the_one_that_was_taken_down() {
    let info = info();
    let request = Request::get("/a?b=1").header("host", "front.example").header("x-in", "1");
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    info.set_request(RequestHead { method: parts.method, uri: parts.uri, headers: parts.headers });
    let format = "%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(:SCHEME)% %REQ(x-in)%";
    assert_eq!(render(&info, format), "GET /a?b=1 front.example http 1");
}

#[test]
fn a_failure_sets_flags_and_details() {
    let info = info();
    let flag = ResponseFlag::UpstreamRetryLimitExceeded;
    info.fail(&ProxyError::new(ErrorKind::ConnectionTerminated).with_flag(flag));
    let text = render(&info, "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%");
    assert_eq!(text, "URX,UC upstream_reset_before_response_started{connection_termination}");
}

#[tokio::test(start_paused = true)]
async fn moments_are_kept_from_the_start() {
    let info = info();
    tokio::time::advance(Duration::from_millis(7)).await;
    info.mark(TimePoint::ResponseBegin);
    assert_eq!(info.elapsed(TimePoint::ResponseBegin), Some(Duration::from_millis(7)));
    assert_eq!(info.elapsed(TimePoint::ResponseEnd), None);
    assert_eq!(info.duration(), Some(Duration::from_millis(7)));
}
