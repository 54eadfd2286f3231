//! The `date` of responses.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use tokio::time::Instant;

use crate::clock;

struct Cached {
    value: HeaderValue,
    until: Instant,
}

thread_local! {
    static DATE: RefCell<Option<Cached>> = const { RefCell::new(None) };
}

/// The date of now; made once a second by each thread.
pub(crate) fn now() -> Option<HeaderValue> {
    DATE.with_borrow_mut(|cached| {
        let now = clock::now();
        if let Some(cached) = cached
            && now < cached.until
        {
            return Some(cached.value.clone());
        }
        let time = SystemTime::now();
        let value = HeaderValue::try_from(httpdate::fmt_http_date(time)).ok()?;
        let past = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let until = now + Duration::from_secs(1) - Duration::from_nanos(past.into());
        *cached = Some(Cached { value: value.clone(), until });
        Some(value)
    })
}
