//! A watchdog: `watchdog_miss` and `watchdog_mega_miss`.
//!
//! Each thread that serves says ten times a second that it does. A thread that only looks counts
//! those that have not said so for 200 ms, and again when it is 1 s: Envoy's defaults. It counts a
//! thread that hangs while it hangs; nothing else comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use front_proxy_layers::stats::{Counter, Scope};
use tokio::time::MissedTickBehavior;

/// How long a thread may be silent.
#[derive(Clone, Copy, Debug)]
struct Patience {
    miss: Duration,
    mega_miss: Duration,
}

impl Patience {
    const DEFAULT: Self =
        Self { miss: Duration::from_millis(200), mega_miss: Duration::from_secs(1) };

    /// How often a thread says that it serves.
    fn beat(self) -> Duration {
        self.miss / 2
    }
}

/// Looks until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog(#[expect(dead_code, reason = "its drop ends the thread")] Sender<()>);

impl Watchdog {
    /// Watches the threads that have a [`Pulse`] each.
    pub(crate) fn start(watched: Vec<Watched>) -> io::Result<Self> {
        Self::with(Patience::DEFAULT, watched)
    }

    fn with(patience: Patience, mut watched: Vec<Watched>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            let mut before = Instant::now();
            while stopped.recv_timeout(patience.miss) == Err(RecvTimeoutError::Timeout) {
                let now = Instant::now();
                // Who comes late himself can't tell: all of the process may have been stopped.
                let late = now.duration_since(before) > patience.miss * 2;
                before = now;
                watched.iter_mut().for_each(|one| one.look(now, late, patience));
            }
        })?;
        Ok(Self(stop))
    }
}

/// The main thread, and `workers` others, with what each has to beat. They count below `root`.
pub(crate) fn threads(root: &Scope, workers: usize) -> (Vec<Watched>, Vec<Pulse>) {
    let server = root.child("server");
    let own = |leaf| [root.child("main_thread").counter(leaf), server_main(&server, leaf)];
    let main = [own(MISS), own(MEGA_MISS)];
    let all = [MISS, MEGA_MISS].map(|leaf| root.child("workers").counter(leaf));
    let workers = (0..workers).map(|index| {
        let of = |leaf: &str, all: &Counter| {
            let (full, base) = (format!("worker_{index}.{leaf}"), format!("worker_{leaf}"));
            let name = server.leaf_tagged(&full, &base, "envoy_worker_id", index.to_string());
            [all.clone(), server.sink().counter(&name)]
        };
        [of(MISS, &all[0]), of(MEGA_MISS, &all[1])]
    });
    std::iter::once(main)
        .chain(workers)
        .map(|[miss, mega_miss]| Watched::new(miss, mega_miss))
        .unzip()
}

const MISS: &str = "watchdog_miss";
const MEGA_MISS: &str = "watchdog_mega_miss";

fn server_main(server: &Scope, leaf: &str) -> Counter {
    server.child("main_thread").counter(leaf)
}

/// A thread as the watchdog sees it.
#[derive(Debug)]
pub(crate) struct Watched {
    state: Arc<AtomicU8>,
    seen: Instant,
    miss: Silence,
    mega_miss: Silence,
}

/// Counts once for each time that a thread is silent.
#[derive(Debug)]
struct Silence {
    counters: [Counter; 2],
    counted: bool,
}

impl Silence {
    fn look(&mut self, lasts: bool) {
        if lasts && !self.counted {
            self.counters.iter().for_each(|counter| counter.increment(1));
        }
        self.counted = lasts;
    }
}

const SILENT: u8 = 0;
const BEATS: u8 = 1;
const ENDED: u8 = 2;

impl Watched {
    fn new(miss: [Counter; 2], mega_miss: [Counter; 2]) -> (Self, Pulse) {
        let state = Arc::new(AtomicU8::new(BEATS));
        let silence = |counters| Silence { counters, counted: false };
        let (miss, mega_miss) = (silence(miss), silence(mega_miss));
        let pulse = Pulse(Arc::clone(&state));
        (Self { state, seen: Instant::now(), miss, mega_miss }, pulse)
    }

    fn look(&mut self, now: Instant, late: bool, patience: Patience) {
        let beat = self.state.compare_exchange(BEATS, SILENT, Ordering::Relaxed, Ordering::Relaxed);
        if late || beat != Err(SILENT) {
            self.seen = now;
        }
        let silent = now.saturating_duration_since(self.seen);
        self.miss.look(silent > patience.miss);
        self.mega_miss.look(silent > patience.mega_miss);
    }
}

/// What a thread says that it serves with. Dropped, it has ended and is not missed.
#[derive(Debug)]
pub(crate) struct Pulse(Arc<AtomicU8>);

impl Pulse {
    /// Beats for ever, on the runtime whose thread is watched.
    pub(crate) async fn keep(self) {
        self.keep_with(Patience::DEFAULT).await;
    }

    async fn keep_with(self, patience: Patience) {
        let mut ticks = tokio::time::interval(patience.beat());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.0.store(BEATS, Ordering::Relaxed);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.store(ENDED, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Query, Registry, StatValue};

    fn counts(registry: &Registry, whose: &str) -> [u64; 2] {
        [MISS, MEGA_MISS].map(|leaf| {
            let selection = registry.select(&Query::default());
            match selection.value(&format!("{whose}.{leaf}")).expect("the counter") {
                StatValue::Counter(value) => value,
                other => panic!("{other:?}"),
            }
        })
    }

    #[test]
    fn each_silence_counts_once() {
        let registry = Registry::new(1);
        let (mut watched, mut pulses) = threads(&registry.scope(), 1);
        let (mut worker, pulse) = (watched.remove(1), pulses.remove(1));
        let begin = Instant::now();
        let mut look_at = |ms, late| {
            worker.look(begin + Duration::from_millis(ms), late, Patience::DEFAULT);
        };
        let mut look = |ms| look_at(ms, false);
        let beat = || pulse.0.store(BEATS, Ordering::Relaxed);
        look(1000);
        look(1200);
        assert_eq!(counts(&registry, "workers"), [0, 0]);
        look(1300);
        look(1500);
        assert_eq!(counts(&registry, "workers"), [1, 0]);
        look(2001);
        look(9000);
        assert_eq!(counts(&registry, "workers"), [1, 1]);
        beat();
        look(9100);
        assert_eq!(counts(&registry, "workers"), [1, 1]);
        look(9500);
        assert_eq!(counts(&registry, "workers"), [2, 1], "another one");
        assert_eq!(counts(&registry, "server.worker_0"), [2, 1]);
        assert_eq!(counts(&registry, "main_thread"), [0, 0]);
        beat();
        look(9_600);
        look_at(15_000, true);
        look_at(15_200, false);
        assert_eq!(counts(&registry, "workers"), [2, 1], "nobody looked");
        drop(pulse);
        look_at(20_000, false);
        look_at(30_000, false);
        assert_eq!(counts(&registry, "workers"), [2, 1], "it has ended");
    }

    #[test]
    fn a_thread_that_hangs_is_counted_and_one_that_serves_is_not() {
        // One that is long enough for any machine, and one that no machine keeps.
        for (miss, hangs) in [(Duration::from_secs(600), false), (Duration::from_millis(20), true)]
        {
            let patience = Patience { miss, mega_miss: miss * 3 };
            let registry = Registry::new(1);
            let (watched, mut pulses) = threads(&registry.scope(), 0);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            let _watchdog = Watchdog::with(patience, watched).expect("a thread");
            let pulse = pulses.remove(0);
            runtime.block_on(async {
                let beats = tokio::spawn(pulse.keep_with(patience));
                tokio::time::sleep(Duration::from_millis(50)).await;
                if !hangs {
                    assert_eq!(counts(&registry, "main_thread"), [0, 0]);
                    beats.abort();
                    return;
                }
                // The runtime has one thread, and this keeps it.
                for _ in 0..500 {
                    thread::sleep(Duration::from_millis(20));
                    if counts(&registry, "main_thread")[1] > 0 {
                        break;
                    }
                }
                let [miss, mega_miss] = counts(&registry, "server.main_thread");
                assert!(miss >= 1 && mega_miss >= 1, "{miss} {mega_miss}");
            });
        }
    }
}
