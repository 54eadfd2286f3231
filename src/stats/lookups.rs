//! Which names were looked up of late: Envoy's `/stats/recentlookups`.
//!
//! Handles are made when something is built. A name that keeps being looked up while requests run
//! is therefore a mistake, and this finds it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names that are remembered.
const CAPACITY: usize = 100;

/// Lookups of names in a registry: how many, and of which names if someone asked to know.
#[derive(Debug, Default)]
pub struct Lookups {
    total: AtomicU64,
    recent: Mutex<Option<VecDeque<Box<str>>>>,
}

impl Lookups {
    /// How many lookups there were since the start or the last [`clear`](Self::clear).
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Begins to remember names.
    pub fn enable(&self) {
        self.recent().get_or_insert_default();
    }

    /// Stops remembering names.
    pub fn disable(&self) {
        *self.recent() = None;
    }

    /// Forgets names and the count.
    pub fn clear(&self) {
        if let Some(recent) = self.recent().as_mut() {
            recent.clear();
        }
        self.total.store(0, Ordering::Relaxed);
    }

    /// The page that Envoy shows.
    pub fn page(&self) -> String {
        let mut page = String::new();
        if let Some(recent) = self.recent().as_ref() {
            let mut counts = BTreeMap::<_, u64>::new();
            for name in recent {
                *counts.entry(name).or_default() += 1;
            }
            page.push_str("   Count Lookup\n");
            for (name, count) in counts {
                let _ = writeln!(page, "{count:8} {name}");
            }
        } else {
            page.push_str("Lookup tracking is not enabled. ");
            page.push_str("Use /stats/recentlookups/enable to enable.\n");
        }
        let _ = writeln!(page, "\ntotal: {}", self.total());
        page
    }

    pub(super) fn note(&self, name: &str) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if let Some(recent) = self.recent().as_mut() {
            if recent.len() == CAPACITY {
                recent.pop_front();
            }
            recent.push_back(name.into());
        }
    }

    fn recent(&self) -> MutexGuard<'_, Option<VecDeque<Box<str>>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
