//! The time, read once for a turn of a task.
//!
//! Most layers ask what time it is, and from the outermost to the innermost and back it is the same
//! within microseconds. What is measured against it is in milliseconds.

use std::cell::Cell;

use tokio::time::Instant;

thread_local! {
    static TURN: Cell<State> = const { Cell::new(State::Outside) };
}

#[derive(Clone, Copy)]
enum State {
    Outside,
    Unread,
    Read(Instant),
}

/// The time: in a [`Turn`] that of its first reading.
#[inline]
pub(crate) fn now() -> Instant {
    TURN.with(|turn| match turn.get() {
        State::Read(now) => now,
        State::Unread => {
            let now = Instant::now();
            turn.set(State::Read(now));
            now
        }
        State::Outside => Instant::now(),
    })
}

/// A call or a poll of a whole stack of layers. Within another it is part of that.
pub(crate) struct Turn {
    outermost: bool,
}

impl Turn {
    /// Lasts until this is dropped.
    #[inline]
    pub(crate) fn begin() -> Self {
        let outermost = TURN.with(|turn| {
            let outside = matches!(turn.get(), State::Outside);
            if outside {
                turn.set(State::Unread);
            }
            outside
        });
        Self { outermost }
    }
}

impl Drop for Turn {
    #[inline]
    fn drop(&mut self) {
        if self.outermost {
            TURN.set(State::Outside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_stands_still_in_a_turn_and_in_no_other() {
        let tick = || tokio::time::advance(Duration::from_millis(1));
        let start = Instant::now();
        let turn = Turn::begin();
        assert_eq!(now(), start);
        tick().await;
        drop(Turn::begin());
        assert_eq!(now(), start, "the inner one was part of it");
        drop(turn);
        assert_eq!(now(), start + Duration::from_millis(1));
        let turn = Turn::begin();
        tick().await;
        assert_eq!(now(), start + Duration::from_millis(2), "not read before it is asked for");
        drop(turn);
    }
}
