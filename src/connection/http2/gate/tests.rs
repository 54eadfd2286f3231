//! What holds for any bytes a client may send through the gate to `h2`.

use std::future::poll_fn;

use front_proxy_layers::http2::CodecStats;
use front_proxy_layers::stats::{DownstreamStats, Scope};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::AsyncWriteExt;

use super::*;

/// All that can be observed of what the client sent.
#[derive(Debug, PartialEq)]
struct Outcome {
    passed: Vec<u8>,
    highest: u32,
    ending: Option<Ending>,
    ended: bool,
}

/// Sends `pieces`, and reads what passes `most` bytes at a time.
fn run(pieces: &[&[u8]], most: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Nothing here waits, so there is nobody to yield to.
    runtime.block_on(tokio::task::unconstrained(async {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let scope = Scope::from_metrics();
        let state = GateState::new(
            Arc::new(CodecStats::new(&scope)),
            Arc::new(DownstreamStats::new(&scope, "t")),
            false,
        );
        let mut gate = Http2Gate::new(server, Arc::clone(&state));
        let mut passed = Vec::new();
        let mut ended = false;
        for (at, piece) in pieces.iter().enumerate() {
            client.write_all(piece).await.unwrap();
            if at + 1 == pieces.len() {
                client.shutdown().await.unwrap();
            }
            // All that has come by now.
            while !ended {
                let mut room = vec![0; most];
                let mut buf = ReadBuf::new(&mut room);
                let read = poll_fn(|cx| {
                    Poll::Ready(match Pin::new(&mut gate).poll_read(cx, &mut buf) {
                        Poll::Ready(Ok(())) if buf.filled().is_empty() => None,
                        Poll::Ready(Ok(())) => Some(true),
                        Poll::Ready(Err(_)) => Some(false),
                        // A head has passed: its owner goes on when `h2` has dealt with it.
                        Poll::Pending if state.unpark() => Some(true),
                        Poll::Pending => None,
                    })
                })
                .await;
                passed.extend_from_slice(buf.filled());
                match read {
                    None => break,
                    Some(goes_on) => ended = !goes_on,
                }
            }
        }
        Outcome { passed, highest: state.highest(), ending: state.ending(), ended }
    }))
}

/// Frames of a client, floods among them, and damage.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let kind = select(vec![
        kind::DATA,
        kind::HEADERS,
        kind::HEADERS,
        kind::PRIORITY,
        kind::RST_STREAM,
        kind::SETTINGS,
        kind::PING,
        kind::GOAWAY,
        kind::WINDOW_UPDATE,
        kind::CONTINUATION,
        42,
    ]);
    let flags = select(vec![0, 1, 4, 5, 8, 13]);
    let frame = (kind, flags, 0..9u8, vec(any::<u8>(), 0..12), 1..6usize).prop_map(
        |(kind, flags, stream, payload, times)| {
            let len = u8::try_from(payload.len()).unwrap();
            let frame = [&[0, 0, len, kind, flags, 0, 0, 0, stream][..], &payload].concat();
            frame.repeat(times)
        },
    );
    let damage = proptest::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (vec(frame, 0..12), damage).prop_map(|(frames, damage)| {
        let mut bytes = frames.concat();
        if let Some((at, byte)) = damage.filter(|_| !bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &bytes[..]].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However the bytes are cut and read, the same of them pass and the same ends them.
    #[test]
    fn cuts_do_not_matter(
        bytes in stream(),
        size in 1..40usize,
        most in 1..40usize,
    ) {
        let whole = run(&[&bytes], 1 << 16);
        prop_assert!(bytes.starts_with(&whole.passed), "in order, and as they are");
        prop_assert_eq!(whole.ended, whole.ending.is_some());
        let cut: Vec<_> = bytes.chunks(size).collect();
        let cut = run(&cut, most);
        prop_assert!(bytes.starts_with(&cut.passed));
        prop_assert_eq!((cut.highest, cut.ending, cut.ended), (whole.highest, whole.ending, whole.ended));
        if !whole.ended {
            // Nothing is kept back for good.
            prop_assert_eq!(&whole.passed, &bytes);
            prop_assert_eq!(&cut.passed, &bytes);
        }
    }

    /// What is no HTTP/2 at all does no harm.
    #[test]
    fn any_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300), size in 1..40usize) {
        let cut: Vec<_> = bytes.chunks(size).collect();
        let outcome = run(&cut, 64);
        prop_assert!(bytes.starts_with(&outcome.passed));
    }
}
