//! tower's contract, for every layer there is: a probe inside of each watches what the layer does.
//!
//! The table in `probe/layers.rs` must have all of them; a test compares it with the sources.

mod probe;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use front_proxy_layers::body::Body;
use front_proxy_layers::error::{BoxError, ErrorKind};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::Service;

use probe::layers::{Case, Outer, cases, layers};
use probe::{Answer, Ledger, Step, Task};

fn request() -> Request<Body> {
    let request = Request::get("/a//b").header("host", "h");
    request.body(Body::from(Bytes::from_static(b"a request"))).expect("a request")
}

fn ok(steps: impl Into<Vec<Step>>) -> Answer {
    Answer::Response(StatusCode::OK, steps.into())
}

/// Runs `check` for each case with paused time.
fn for_each(check: impl AsyncFn(&Case)) {
    for case in cases() {
        println!("{} {}", case.name, case.setup);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            check(&case).await;
            let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
            assert_eq!(alive, 0, "a task is left");
        });
    }
}

/// All that is waited for goes on, and time passes.
async fn go_on(ledger: &Ledger) {
    ledger.wake_all();
    tokio::time::advance(Duration::from_millis(500)).await;
}

/// Polls the call to its end. Panics if it never comes.
async fn finish<F: Future>(ledger: &Ledger, mut call: Pin<Box<F>>) -> F::Output {
    let task = Task::new();
    for _ in 0..100 {
        if let Poll::Ready(output) = task.poll(|cx| call.as_mut().poll(cx)) {
            return output;
        }
        go_on(ledger).await;
    }
    panic!("the call does not end");
}

fn ready(service: &mut Outer, task: &Arc<Task>) -> Poll<Result<(), BoxError>> {
    task.poll(|cx| service.poll_ready(cx))
}

fn clean(ledger: &Ledger) {
    assert_eq!(ledger.violations(), [] as [String; 0]);
    assert_eq!(ledger.held(), 0, "permits are held by nobody");
}

#[test]
fn every_layer_is_in_the_table() {
    let here: BTreeSet<String> = layers().iter().map(|case| case.name.to_owned()).collect();
    let mut there = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).expect("text");
            // One for clusters alone has no place for a probe: it is made of those that have.
            let implemented = text.lines().filter(|line| {
                line.starts_with("impl")
                    && line.contains("Layer<")
                    && !line.contains("Layer<Cluster>")
            });
            for line in implemented {
                let (_, name) = line.split_once(" for ").expect("a trait for a type");
                there.insert(name.chars().take_while(|c| c.is_alphanumeric()).collect());
            }
        }
    }
    assert_eq!(here, there, "each layer of the crate is to be in the table of this test");
}

#[test]
fn readiness_that_never_comes_is_waited_for() {
    for_each(async |case| {
        let ledger = Ledger::new().permits(0);
        let mut service = case.around(&ledger);
        let task = Task::new();
        if !case.passes_readiness {
            assert!(ready(&mut service, &task).is_ready());
            let mut call = Box::pin(service.call(request()));
            for _ in 0..3 {
                assert!(task.poll(|cx| call.as_mut().poll(cx)).is_pending());
            }
            assert!(ledger.called().is_empty(), "called though it never became ready");
            ledger.set_permits(1);
            assert_eq!(task.wakes(), 1, "nobody was told");
            finish(&ledger, call).await.expect("a response");
            return clean(&ledger);
        }
        for _ in 0..3 {
            assert!(ready(&mut service, &task).is_pending());
        }
        assert!(ledger.made_ready().is_empty() && ledger.called().is_empty());
        ledger.set_permits(1);
        assert_eq!(task.wakes(), 1, "nobody was told");
        assert!(ready(&mut service, &task).is_ready());
        drop(service);
        clean(&ledger);
    });
}

#[test]
fn what_was_made_ready_is_what_is_called() {
    for_each(async |case| {
        let ledger = Ledger::new();
        let mut service = case.around(&ledger);
        for _ in 0..3 {
            // More than once is allowed and changes nothing.
            assert!(ready(&mut service, &Task::new()).is_ready());
            assert!(ready(&mut service, &Task::new()).is_ready());
            let call = Box::pin(service.call(request()));
            finish(&ledger, call).await.expect("a response");
            assert_eq!(ledger.made_ready(), ledger.called());
        }
        assert_eq!(ledger.called().len(), 3);
        clean(&ledger);
    });
}

#[test]
fn a_clone_of_a_ready_service_is_not_ready() {
    for_each(async |case| {
        let ledger = Ledger::new().permits(1);
        let mut service = case.around(&ledger);
        let task = Task::new();
        assert!(ready(&mut service, &task).is_ready());
        let mut clone = service.clone();
        if case.passes_readiness {
            assert!(ready(&mut clone, &task).is_pending(), "there is one permit");
        }
        // Each is called when it is ready itself, in the other order.
        drop(finish(&ledger, Box::pin(service.call(request()))).await.expect("a response"));
        assert!(ready(&mut clone, &task).is_ready());
        drop(finish(&ledger, Box::pin(clone.call(request()))).await.expect("a response"));
        assert_eq!(ledger.made_ready(), ledger.called());
        clean(&ledger);
    });
}

#[test]
fn a_ready_service_that_is_dropped_gives_back() {
    for_each(async |case| {
        let ledger = Ledger::new().permits(1);
        let mut first = case.around(&ledger);
        let mut second = first.clone();
        let task = Task::new();
        assert!(ready(&mut first, &task).is_ready());
        let waits = ready(&mut second, &task).is_pending();
        assert_eq!(waits, case.passes_readiness);
        drop(first);
        assert!(ready(&mut second, &task).is_ready());
        assert_eq!(task.wakes(), usize::from(waits), "who waits is told");
        drop(second);
        clean(&ledger);
    });
}

/// A layer must not hide that its caller forgot `poll_ready`: the service inside would notice.
#[test]
fn a_call_without_readiness_is_seen_inside() {
    for_each(async |case| {
        let ledger = Ledger::new();
        let mut service = case.around(&ledger);
        finish(&ledger, Box::pin(service.call(request()))).await.expect("a response");
        let seen = ledger.violations().iter().any(|v| v.ends_with("without being ready"));
        assert_eq!(seen, case.passes_readiness, "{:?}", ledger.violations());
    });
}

#[test]
fn a_service_that_fails_to_become_ready_is_not_called() {
    for_each(async |case| {
        let ledger = Ledger::new().unready(ErrorKind::Overflow);
        let mut service = case.around(&ledger);
        let readiness = ready(&mut service, &Task::new());
        let Poll::Ready(readiness) = readiness else { panic!("it has failed") };
        if case.answers_failures {
            readiness.expect("a service that never fails is ready");
            // A second time changes nothing.
            assert!(matches!(ready(&mut service, &Task::new()), Poll::Ready(Ok(()))));
            let answer = finish(&ledger, Box::pin(service.call(request()))).await;
            let answer = answer.expect("failures are answered");
            assert_eq!(answer.status(), ErrorKind::Overflow.status());
        } else if case.passes_readiness {
            readiness.expect_err("it has failed");
        } else {
            let answer = finish(&ledger, Box::pin(service.call(request()))).await;
            answer.expect_err("it has failed");
        }
        assert!(ledger.called().is_empty());
        clean(&ledger);
    });
}

/// A request that is given up after any number of polls leaves nothing: not in front of readiness,
/// while it is answered, between two tries, nor between frames.
#[test]
fn nothing_is_left_of_a_request_that_is_given_up() {
    for_each(async |case| {
        let frames = [Step::Data(Bytes::from_static(b"a")), Step::Pending];
        let frames = [&frames[..], &[Step::Data(Bytes::from_static(b"b"))]].concat();
        let mut polls = 0;
        loop {
            let again = Answer::Response(StatusCode::SERVICE_UNAVAILABLE, frames.clone());
            let answers = [again, ok(frames.clone())];
            let ledger = Ledger::new().permits(1).pauses(2).answers(answers);
            let mut service = case.around(&ledger);
            let whole = give_up_after(&ledger, &mut service, polls).await;
            // What is left is the service, which is ready if that is as far as it came.
            drop(service);
            clean(&ledger);
            if whole {
                break;
            }
            polls += 1;
            assert!(polls < 100, "the request does not end");
        }
        assert!(polls >= 5, "no more than {polls} places to give up at");
    });
}

/// Makes a request, and drops it where it is after so many polls. True if it has come to its end.
async fn give_up_after(ledger: &Ledger, service: &mut Outer, polls: usize) -> bool {
    let mut left = polls;
    let task = Task::new();
    loop {
        if left == 0 {
            return false;
        }
        left -= 1;
        if ready(service, &task).is_ready() {
            break;
        }
        go_on(ledger).await;
    }
    let mut call = Box::pin(service.call(request()));
    let response = loop {
        if left == 0 {
            return false;
        }
        left -= 1;
        if let Poll::Ready(response) = task.poll(|cx| call.as_mut().poll(cx)) {
            break response.expect("a response");
        }
        go_on(ledger).await;
    };
    let mut body = response.into_body();
    loop {
        if left == 0 {
            return false;
        }
        left -= 1;
        match task.poll(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)) {
            Poll::Ready(None) => return true,
            Poll::Ready(Some(frame)) => drop(frame.expect("a frame")),
            Poll::Pending => {}
        }
    }
}

/// A future may move from one task to another between polls: only the last one is to be woken.
#[test]
fn wakes_go_to_who_polled_last() {
    for_each(async |case| {
        let ledger = Ledger::new().pauses(3);
        let mut service = case.around(&ledger);
        let (first, second) = (Task::new(), Task::new());
        if case.passes_readiness {
            assert!(ready(&mut service, &first).is_pending());
            assert!(ready(&mut service, &second).is_pending());
            ledger.wake_all();
            assert_eq!((first.wakes(), second.wakes()), (0, 1));
        }
        while ready(&mut service, &first).is_pending() {}
        let mut call = Box::pin(service.call(request()));
        let (first, second) = (Task::new(), Task::new());
        assert!(first.poll(|cx| call.as_mut().poll(cx)).is_pending());
        assert!(second.poll(|cx| call.as_mut().poll(cx)).is_pending());
        if case.waits_for_time {
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        ledger.wake_all();
        assert_eq!((first.wakes(), second.wakes()), (0, 1));
    });
}

/// A permit goes with the response: it is free when the body has been dropped, not before.
#[test]
fn a_response_that_streams_keeps_its_permit() {
    for_each(async |case| {
        let ledger = Ledger::new().permits(1).answers([ok([Step::Data(Bytes::from_static(b"a"))])]);
        let mut service = case.around(&ledger);
        assert!(ready(&mut service, &Task::new()).is_ready());
        let response =
            finish(&ledger, Box::pin(service.call(request()))).await.expect("a response");
        assert_eq!(ledger.held(), 1, "the response has not ended");
        drop(response);
        clean(&ledger);
    });
}

#[test]
fn answers_and_failures_come_through() {
    for_each(async |case| {
        let frames =
            [Step::Data(Bytes::from_static(b"an ")), Step::Data(Bytes::from_static(b"answer"))];
        let answers = [ok(frames), Answer::Failure(ErrorKind::NoHealthyUpstream)];
        let ledger = Ledger::new().answers(answers);
        let mut service = case.around(&ledger);
        assert!(ready(&mut service, &Task::new()).is_ready());
        let response =
            finish(&ledger, Box::pin(service.call(request()))).await.expect("a response");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, "an answer");
        assert!(ready(&mut service, &Task::new()).is_ready());
        let failed = finish(&ledger, Box::pin(service.call(request()))).await;
        match failed {
            Ok(response) => {
                assert!(case.answers_failures);
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            }
            Err(error) => {
                assert!(!case.answers_failures);
                assert_eq!(error.to_string(), "no healthy upstream");
            }
        }
        clean(&ledger);
    });
}

/// Each try of a request is a call of its own, which has to be made ready for.
#[test]
fn tries_are_made_ready_for_one_by_one() {
    let again = Answer::Response(StatusCode::SERVICE_UNAVAILABLE, Vec::new());
    for_each(async |case| {
        if (case.name, case.setup) != ("RetryLayer", "5xx") {
            return;
        }
        // One permit, which the response of the try before must have given back.
        let ledger = Ledger::new().permits(1).pauses(1);
        let ledger = ledger.answers([again.clone(), again.clone(), ok([])]);
        let mut service = case.around(&ledger);
        while ready(&mut service, &Task::new()).is_pending() {}
        let response =
            finish(&ledger, Box::pin(service.call(request()))).await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(ledger.called().len(), 3);
        assert_eq!(ledger.made_ready(), ledger.called());
        drop((response, service));
        clean(&ledger);
    });
}
