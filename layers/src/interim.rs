//! Interim responses (1xx) of upstreams, for clients that are to have them: `proxy_100_continue`.
//!
//! A server that passes them on puts an [`Interim`] into the extensions of each request, and looks
//! into it whenever it has polled for the response. As Envoy's, it gets the first 100, 102, 103 or
//! 104 of an upstream (RFC 9110 section 15.2, RFC 8297) and no other. Without one they end here.
//!
//! ```
//! use front_proxy_layers::interim::Interim;
//!
//! let interim = Interim::default();
//! let mut request = http::Request::new(());
//! request.extensions_mut().insert(interim.clone());
//! // The request goes to a cluster, and while its response is not there:
//! assert!(interim.take().is_none(), "nothing has come yet");
//! ```

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TE};
use http::{HeaderMap, Response, StatusCode};

use crate::lock::lock;
use crate::sanitize::remove_from_response;
use crate::sync::Mutex;

/// Where the interim response to a request comes in.
#[derive(Clone, Debug, Default)]
pub struct Interim(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Here(Box<Response<()>>),
    Taken,
}

impl Interim {
    /// What has come, once.
    pub fn take(&self) -> Option<Response<()>> {
        let mut slot = lock(&self.0);
        let (next, taken) = match std::mem::take(&mut *slot) {
            Slot::Here(response) => (Slot::Taken, Some(*response)),
            other => (other, None),
        };
        *slot = next;
        taken
    }

    /// An upstream has sent this. Taken up if it is the first of those that are passed on.
    pub(crate) fn put(&self, status: StatusCode, headers: &HeaderMap) {
        let mut slot = lock(&self.0);
        if !is_passed(status) || !matches!(*slot, Slot::Empty) {
            return;
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        remove_from_response(response.headers_mut(), false);
        // Of requests, and what HTTP/2 has no place for.
        response.headers_mut().remove(TE);
        // It has no body, whatever it says (RFC 9110 section 8.6).
        response.headers_mut().remove(CONTENT_LENGTH);
        *slot = Slot::Here(Box::new(response));
    }
}

/// Whether Envoy takes an interim response for one that is to be counted, and passed on: it knows
/// these, and drops others.
pub(crate) fn is_passed(status: StatusCode) -> bool {
    matches!(status.as_u16(), 100 | 102..=104)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_that_envoy_knows_is_passed_on() {
        let interim = Interim::default();
        let mut headers = HeaderMap::new();
        headers.insert("link", HeaderValue::from_static("</a>"));
        headers.insert("connection", HeaderValue::from_static("close"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
        let status = |code| StatusCode::from_u16(code).unwrap();
        for not in [101, 105, 199] {
            interim.put(status(not), &headers);
            assert!(interim.take().is_none(), "{not}");
        }
        interim.put(status(103), &headers);
        interim.put(status(100), &headers);
        let taken = interim.take().expect("it came");
        assert_eq!(taken.status(), 103);
        assert_eq!(taken.headers().len(), 1, "{:?}", taken.headers());
        assert!(interim.take().is_none());
        interim.put(status(100), &headers);
        assert!(interim.take().is_none(), "one is all");
    }
}
