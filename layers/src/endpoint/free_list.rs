//! The connections of a shard that are free, and who waits for one.

use std::collections::VecDeque;

use crate::sync::oneshot;

/// What a request that waits is sent: a connection, or nothing, which means "look again".
pub(super) type Handed<C> = Option<C>;

/// Free connections, places for more, and a queue.
///
/// Nothing here locks or wakes by itself, so that its rules can be tested as they stand:
/// a request only waits while nothing is free and somebody has a connection that will come
/// back or end; what was handed to a waiter that has left meanwhile goes to the next one.
#[derive(Debug)]
pub(super) struct FreeList<C> {
    /// The last one in is the first one out, so that those in excess of the load grow old and
    /// are closed.
    idle: VecDeque<C>,
    /// Connections that exist or are being made.
    open: usize,
    /// Those being made that nobody waits for any more.
    spare: usize,
    waiting: VecDeque<oneshot::Sender<Handed<C>>>,
}

/// What a request gets.
#[derive(Debug)]
pub(super) enum Taken<C> {
    /// A free connection.
    Free(C),
    /// A place for a new one; `over` if the limit would not have given it.
    Place { over: bool },
    /// A place in the queue; `over` if the limit is why, and not that a connection will be to spare.
    Queued { handed: oneshot::Receiver<Handed<C>>, over: bool },
}

impl<C> Default for FreeList<C> {
    fn default() -> Self {
        Self { idle: VecDeque::new(), open: 0, spare: 0, waiting: VecDeque::new() }
    }
}

impl<C> FreeList<C> {
    /// Takes a free connection that is `usable`, or a place for a new one where one `may_open`,
    /// or gets in line: at the end, or in front for a request that was there before.
    pub(super) fn take(
        &mut self,
        usable: impl Fn(&C) -> bool,
        may_open: bool,
        in_front: bool,
    ) -> Taken<C> {
        while let Some(connection) = self.idle.pop_back() {
            if usable(&connection) {
                return Taken::Free(connection);
            }
            self.open = self.open.saturating_sub(1);
        }
        // What clients have begun and left is for those who come after them: else a client that
        // resets its requests as fast as it makes them has a connection opened by each.
        let spared = self.spare > self.waiting.len();
        // Envoy lets each worker have one connection to each endpoint whatever the limit says, so
        // that no request waits for a connection that nobody has.
        if !spared && (may_open || self.open == 0) {
            self.open += 1;
            return Taken::Place { over: !may_open };
        }
        let (tx, handed) = oneshot::channel();
        if in_front {
            self.waiting.push_front(tx);
        } else {
            self.waiting.push_back(tx);
        }
        Taken::Queued { handed, over: !spared }
    }

    /// Whoever wanted a connection that is being made has left.
    pub(super) fn spare(&mut self) {
        self.spare += 1;
    }

    /// Such a connection has been [`put`](Self::put), or its place [given up](Self::vacate), before
    /// this. Who came in between looks again.
    pub(super) fn spared(&mut self) {
        self.spare = self.spare.saturating_sub(1);
        if self.waiting.len() > self.spare {
            self.wake_one();
        }
    }

    /// A connection is free: the longest waiting request gets it, else it lies idle.
    pub(super) fn put(&mut self, connection: C) {
        if let Some(connection) = self.hand_over(connection) {
            self.idle.push_back(connection);
        }
    }

    /// As [`put`](Self::put), at the cold end: it keeps its age, and what is hot stays in front.
    pub(super) fn put_cold(&mut self, connection: C) {
        if let Some(connection) = self.hand_over(connection) {
            self.idle.push_front(connection);
        }
    }

    fn hand_over(&mut self, connection: C) -> Option<C> {
        let mut connection = Some(connection);
        while let Some(waiting) = self.waiting.pop_front() {
            match waiting.send(connection.take()) {
                Ok(()) => return None,
                Err(unclaimed) => connection = unclaimed,
            }
        }
        connection
    }

    /// A connection has ended, or was not made: another may be, by the longest waiting request.
    pub(super) fn vacate(&mut self) {
        self.open = self.open.saturating_sub(1);
        self.wake_one();
    }

    /// Lets the longest waiting request look again.
    pub(super) fn wake_one(&mut self) {
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.send(None).is_ok() {
                return;
            }
        }
    }

    /// Lets all waiting requests look again.
    pub(super) fn wake_all(&mut self) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(None);
        }
    }

    /// Forgets those who left the queue, so that it can't grow while no connection comes back.
    pub(super) fn forget_gone(&mut self) {
        self.waiting.retain(|waiting| !waiting.is_closed());
    }

    /// Connections that exist or are being made.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// How many lie idle.
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Takes the idle connection that `is_it`.
    pub(super) fn remove(&mut self, is_it: impl Fn(&C) -> bool) -> Option<C> {
        let at = self.idle.iter().position(is_it)?;
        self.idle.remove(at)
    }

    /// Takes those idle connections out for which `keep` is false, the coldest first.
    pub(super) fn sift(&mut self, mut keep: impl FnMut(&C) -> bool) -> Vec<C> {
        let mut out = Vec::new();
        let mut at = 0;
        while let Some(connection) = self.idle.get(at) {
            if keep(connection) {
                at += 1;
            } else {
                out.extend(self.idle.remove(at));
            }
        }
        out
    }

    /// Takes all idle connections, and lets all who wait look again.
    pub(super) fn clear(&mut self) -> VecDeque<C> {
        self.wake_all();
        let idle = std::mem::take(&mut self.idle);
        self.open = self.open.saturating_sub(idle.len());
        idle
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    /// What happens to a pool. Numbers choose one of those whom it can happen to.
    #[derive(Clone, Debug)]
    enum Event {
        Request,
        Connected,
        ConnectFailed,
        Finished(usize),
        Broken(usize),
        IdleClosed(usize),
        IdleChecked(usize),
        Cancelled(usize),
        Looked(usize),
        /// Whoever has a connection made leaves.
        Left,
        SpareConnected,
        SpareFailed,
    }

    /// A pool of at most `limit` connections, the requests that use it and those that wait.
    struct Model {
        list: FreeList<u32>,
        limit: usize,
        next: u32,
        making: usize,
        spare: usize,
        used: Vec<u32>,
        waiting: Vec<oneshot::Receiver<Handed<u32>>>,
    }

    impl Model {
        fn request(&mut self, in_front: bool) {
            let may_open = self.list.open() < self.limit;
            match self.list.take(|_| true, may_open, in_front) {
                Taken::Free(connection) => self.used.push(connection),
                Taken::Place { .. } => self.making += 1,
                Taken::Queued { handed, .. } => self.waiting.push(handed),
            }
        }

        fn pick<T>(list: &mut Vec<T>, at: usize) -> Option<T> {
            (!list.is_empty()).then(|| list.swap_remove(at % list.len()))
        }

        fn apply(&mut self, event: &Event) {
            match *event {
                Event::Request => self.request(false),
                Event::Connected if self.making > 0 => {
                    self.making -= 1;
                    self.next += 1;
                    self.used.push(self.next);
                }
                Event::ConnectFailed if self.making > 0 => {
                    self.making -= 1;
                    self.list.vacate();
                }
                Event::Left if self.making > 0 => {
                    self.making -= 1;
                    self.spare += 1;
                    self.list.spare();
                }
                Event::SpareConnected if self.spare > 0 => {
                    self.spare -= 1;
                    self.next += 1;
                    self.list.put(self.next);
                    self.list.spared();
                }
                Event::SpareFailed if self.spare > 0 => {
                    self.spare -= 1;
                    self.list.vacate();
                    self.list.spared();
                }
                Event::Connected | Event::ConnectFailed => {}
                Event::Left | Event::SpareConnected | Event::SpareFailed => {}
                Event::Finished(at) => {
                    if let Some(connection) = Self::pick(&mut self.used, at) {
                        self.list.put(connection);
                    }
                }
                Event::Broken(at) => {
                    if Self::pick(&mut self.used, at).is_some() {
                        self.list.vacate();
                    }
                }
                Event::IdleClosed(at) => {
                    let at = self.list.idle.get(at % self.list.idle.len().max(1)).copied();
                    if self.list.remove(|c| Some(*c) == at).is_some() {
                        self.list.vacate();
                    }
                }
                Event::IdleChecked(at) => {
                    let at = self.list.idle.get(at % self.list.idle.len().max(1)).copied();
                    if let Some(connection) = self.list.remove(|c| Some(*c) == at) {
                        // A request comes while the watcher has it.
                        self.request(false);
                        self.list.put_cold(connection);
                    }
                }
                Event::Cancelled(at) => {
                    // As `Waiter` does on its drop.
                    if let Some(mut rx) = Self::pick(&mut self.waiting, at) {
                        rx.close();
                        match rx.try_recv() {
                            Ok(Some(connection)) => self.list.put(connection),
                            Ok(None) => self.list.wake_one(),
                            Err(_) => self.list.forget_gone(),
                        }
                    }
                }
                Event::Looked(at) => {
                    if let Some(mut rx) = Self::pick(&mut self.waiting, at) {
                        match rx.try_recv() {
                            Ok(Some(connection)) => self.used.push(connection),
                            Ok(None) => self.request(true),
                            Err(TryRecvError::Empty) => self.waiting.push(rx),
                            Err(TryRecvError::Closed) => unreachable!("never dropped unsent"),
                        }
                    }
                }
            }
        }

        /// Connections that were handed over and not yet taken.
        fn settle(&mut self) {
            // Everyone who was sent something looks.
            for _ in 0..=self.waiting.len() {
                for at in (0..self.waiting.len()).rev() {
                    self.apply(&Event::Looked(at));
                }
            }
        }

        fn check(&self) {
            let held = self.list.idle() + self.used.len() + self.making + self.spare;
            assert_eq!(self.list.open(), held, "every open connection is somewhere");
            assert_eq!(self.list.waiting.len(), self.waiting.len(), "nobody is forgotten");
            if !self.waiting.is_empty() {
                assert_eq!(self.list.idle(), 0, "nobody waits beside a free connection");
                let full = self.list.open() >= self.limit.max(1);
                assert!(full || self.waiting.len() <= self.spare, "nor beside a free place");
                assert!(self.making + self.used.len() + self.spare > 0, "somebody will wake them");
            }
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        let at = 0..16usize;
        prop_oneof![
            4 => Just(Event::Request),
            3 => Just(Event::Connected),
            1 => Just(Event::ConnectFailed),
            3 => at.clone().prop_map(Event::Finished),
            1 => at.clone().prop_map(Event::Broken),
            1 => at.clone().prop_map(Event::IdleClosed),
            1 => at.clone().prop_map(Event::IdleChecked),
            2 => at.clone().prop_map(Event::Cancelled),
            2 => at.prop_map(Event::Looked),
            2 => Just(Event::Left),
            2 => Just(Event::SpareConnected),
            1 => Just(Event::SpareFailed),
        ]
    }

    proptest! {
        #[test]
        fn no_connection_and_no_waiter_is_lost(
            limit in 0usize..4,
            events in prop::collection::vec(event(), 0..120),
        ) {
            let mut model = Model {
                list: FreeList::default(),
                limit,
                next: 0,
                making: 0,
                spare: 0,
                used: Vec::new(),
                waiting: Vec::new(),
            };
            for event in &events {
                model.apply(event);
            }
            model.settle();
            model.check();
            // All connections come back: all waiters must get theirs.
            for _ in 0..events.len() * 2 {
                model.apply(&Event::Connected);
                model.apply(&Event::SpareConnected);
                model.apply(&Event::Finished(0));
                model.settle();
            }
            model.check();
            prop_assert!(model.waiting.is_empty());
        }
    }

    #[test]
    fn the_youngest_goes_out_first() {
        let mut list = FreeList::default();
        for connection in 1..=2 {
            assert!(matches!(list.take(|_| true, true, false), Taken::Place { over: false }));
            if connection == 2 {
                list.put(1);
                list.put(2);
            }
        }
        assert!(matches!(list.take(|_| true, true, false), Taken::Free(2)));
    }

    #[test]
    fn who_comes_waits_for_what_others_have_begun_and_left() {
        let mut list = FreeList::default();
        assert!(matches!(list.take(|_| true, true, false), Taken::Place { over: false }));
        list.spare();
        let Taken::Queued { mut handed, over: false } = list.take(|_| true, true, false) else {
            panic!("a connection will be to spare");
        };
        assert!(
            matches!(list.take(|_| true, true, false), Taken::Place { over: false }),
            "one only"
        );
        list.put(7);
        list.spared();
        assert_eq!(handed.try_recv(), Ok(Some(7)));
        assert!(matches!(list.take(|_| true, true, false), Taken::Place { over: false }));
    }

    #[test]
    fn those_who_leave_the_queue_leave_nothing_behind() {
        let mut list = FreeList::<u32>::default();
        assert!(matches!(list.take(|_| true, false, false), Taken::Place { over: true }));
        for _ in 0..100 {
            let Taken::Queued { handed, over: true } = list.take(|_| true, false, false) else {
                panic!("one is open and no more may be");
            };
            drop(handed);
            list.forget_gone();
        }
        assert!(list.waiting.is_empty());
    }
}
