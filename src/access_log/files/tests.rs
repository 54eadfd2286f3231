use std::fs;
use std::time::Instant;

use front_proxy_layers::access_log::LogSink;

use super::*;
use crate::stats::{Query, Registry, text};

const NEVER: FlushOptions =
    FlushOptions { interval: Duration::from_secs(3600), min_size: 64 * 1024 };

fn stats(registry: &Registry) -> String {
    let page = text::render(registry.select(&Query::default()), Default::default());
    page.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn loggers_of_one_path_share_a_file_and_the_end_writes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let registry = Registry::new(1);
    let files = LogFiles::new(&registry.scope(), NEVER);
    let (one, two) = (files.file(&path).expect("opened"), files.file(&path).expect("opened"));
    one.write(b"one\n");
    two.write(b"two\n");
    one.write(b"three\n");
    assert!(stats(&registry).contains("filesystem.write_buffered: 3\n"));
    assert!(stats(&registry).contains("filesystem.write_total_buffered: 14\n"));
    assert_eq!(fs::read(&path).expect("it exists from the start"), b"");
    drop(files);
    assert_eq!(fs::read(&path).expect("the file"), b"one\ntwo\nthree\n");
    assert!(stats(&registry).contains("filesystem.write_completed: 1\n"));
    assert!(stats(&registry).contains("filesystem.write_total_buffered: 0\n"));
}

#[test]
fn lines_are_written_in_time_and_when_there_are_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = Registry::new(1);
    let options = FlushOptions { interval: Duration::from_millis(20), min_size: 1024 };
    let files = LogFiles::new(&registry.scope(), options);
    let path = folder.path().join("timer.log");
    files.file(&path).expect("opened").write(b"line\n");
    eventually("the timer writes", || fs::read(&path).is_ok_and(|text| text == b"line\n"));
    assert!(!stats(&registry).contains("filesystem.flushed_by_timer: 0\n"));

    let files = LogFiles::new(&registry.scope(), FlushOptions { min_size: 8, ..NEVER });
    let path = folder.path().join("size.log");
    let file = files.file(&path).expect("opened");
    file.write(b"1234567");
    file.write(b"8");
    eventually("size writes", || fs::read(&path).is_ok_and(|text| text == b"12345678"));
}

#[test]
fn a_moved_file_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let moved = folder.path().join("a.log.1");
    let registry = Registry::new(1);
    let files = LogFiles::new(&registry.scope(), FlushOptions { min_size: 1, ..NEVER });
    let file = files.file(&path).expect("opened");
    file.write(b"old\n");
    eventually("written", || fs::read(&path).is_ok_and(|text| text == b"old\n"));
    fs::rename(&path, &moved).expect("moved");
    files.reopen();
    eventually("made anew", || path.exists());
    file.write(b"new\n");
    drop(files);
    assert_eq!(fs::read(&path).expect("the new file"), b"new\n");
    assert_eq!(fs::read(&moved).expect("the old file"), b"old\n");
    assert!(stats(&registry).contains("filesystem.reopen_failed: 0\n"));
}

#[test]
fn where_it_cannot_be_made_anew_the_old_one_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("logs");
    let moved = folder.path().join("moved");
    fs::create_dir(&inner).expect("made");
    let registry = Registry::new(1);
    let files = LogFiles::new(&registry.scope(), NEVER);
    let file = files.file(&inner.join("a.log")).expect("opened");
    fs::rename(&inner, &moved).expect("moved");
    file.write(b"line\n");
    files.reopen();
    eventually("it fails", || stats(&registry).contains("filesystem.reopen_failed: 1\n"));
    drop(files);
    assert_eq!(fs::read(moved.join("a.log")).expect("the old file"), b"line\n");
}

#[test]
fn what_does_not_fit_is_lost_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = Registry::new(1);
    let options = FlushOptions { min_size: usize::MAX, ..NEVER };
    let files = LogFiles::new(&registry.scope(), options);
    let path = folder.path().join("a.log");
    let file = files.file(&path).expect("opened");
    let line = vec![b'x'; 1024 * 1024];
    for _ in 0..9 {
        file.write(&line);
    }
    assert!(stats(&registry).contains("filesystem.write_failed: 1\n"));
    drop(files);
    assert_eq!(fs::metadata(&path).expect("the file").len(), 8 * 1024 * 1024);
    file.write(b"too late");
    assert!(stats(&registry).contains("filesystem.write_failed: 2\n"));
}
