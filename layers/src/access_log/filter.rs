//! Which requests are logged.

use crate::format::FormatContext;
use crate::request_id::{REQUEST_ID, random_part};
use crate::runtime::RuntimeU32;

/// Says which requests are logged.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AccessLogFilter {
    /// By their status.
    Status(StatusFilter),
    /// Some of them.
    Runtime(RuntimeFilter),
}

impl AccessLogFilter {
    pub(super) fn takes(&self, request: &dyn FormatContext) -> bool {
        match self {
            Self::Status(filter) => filter.takes(request.response_code().unwrap_or(0)),
            Self::Runtime(filter) => {
                let id = request.request_headers().and_then(|headers| headers.get(REQUEST_ID));
                filter.takes(id.and_then(|id| random_part(id.as_bytes())))
            }
        }
    }
}

impl From<StatusFilter> for AccessLogFilter {
    fn from(filter: StatusFilter) -> Self {
        Self::Status(filter)
    }
}

impl From<RuntimeFilter> for AccessLogFilter {
    fn from(filter: RuntimeFilter) -> Self {
        Self::Runtime(filter)
    }
}

/// `status_code_filter`: only requests with such a status are logged.
#[derive(Clone, Debug)]
pub struct StatusFilter {
    /// How the status is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: RuntimeU32,
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Greater or equal.
    GreaterOrEqual,
    /// Less or equal.
    LessOrEqual,
    /// Not equal.
    NotEqual,
}

impl StatusFilter {
    /// Whether a request with this status is logged; 0 is that of a request without a response.
    pub fn takes(&self, status: u16) -> bool {
        let (status, value) = (u32::from(status), self.value.get());
        match self.comparison {
            Comparison::Equal => status == value,
            Comparison::GreaterOrEqual => status >= value,
            Comparison::LessOrEqual => status <= value,
            Comparison::NotEqual => status != value,
        }
    }
}

/// `runtime_filter`: only so many of all requests are logged.
///
/// ```
/// use front_proxy_layers::access_log::RuntimeFilter;
/// use front_proxy_layers::runtime::Runtime;
///
/// let runtime = Runtime::new();
/// let share = front_proxy_layers::runtime::RuntimeU32::following(5, runtime.key("logged"));
/// // One in twenty, until the runtime says otherwise.
/// let filter = RuntimeFilter { share, of: 100, independent: false };
/// assert!(filter.takes(Some(104)) && !filter.takes(Some(5)));
/// ```
#[derive(Clone, Debug)]
pub struct RuntimeFilter {
    /// How many are logged (`percent_sampled.numerator`, or the integer that the runtime has instead).
    pub share: RuntimeU32,
    /// Of how many (`percent_sampled.denominator`).
    pub of: u32,
    /// Whether each log draws anew (`use_independent_randomness`), and not from the request's id,
    /// by which all logs of all proxies on its way log the same requests.
    pub independent: bool,
}

impl RuntimeFilter {
    /// Whether a request is logged with this in its [id](random_part). Without one it is drawn for.
    pub fn takes(&self, random: Option<u32>) -> bool {
        let random = random.filter(|_| !self.independent).unwrap_or_else(|| fastrand::u32(..));
        random % self.of.max(1) < self.share.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_compares_as_it_says() {
        let takes =
            |comparison, status| StatusFilter { comparison, value: 400.into() }.takes(status);
        assert!(takes(Comparison::GreaterOrEqual, 400) && takes(Comparison::GreaterOrEqual, 503));
        assert!(!takes(Comparison::GreaterOrEqual, 399));
        assert!(takes(Comparison::LessOrEqual, 400) && takes(Comparison::LessOrEqual, 0));
        assert!(!takes(Comparison::LessOrEqual, 401));
        assert!(takes(Comparison::Equal, 400) && !takes(Comparison::Equal, 200));
        assert!(takes(Comparison::NotEqual, 200) && !takes(Comparison::NotEqual, 400));
    }

    #[test]
    fn a_share_goes_by_the_id_or_by_chance() {
        let filter = |share: u32, independent| RuntimeFilter {
            share: share.into(),
            of: 10_000,
            independent,
        };
        let by_id = filter(50, false);
        assert!(by_id.takes(Some(49)) && by_id.takes(Some(10_000)) && !by_id.takes(Some(50)));
        let many = (0..1000).map(|_| filter(5000, true).takes(Some(0)));
        assert!((300..700).contains(&many.filter(|taken| *taken).count()), "half of them");
        let many = (0..1000).map(|_| filter(5000, false).takes(None));
        assert!((300..700).contains(&many.filter(|taken| *taken).count()), "half of them");
        assert!(filter(10_001, true).takes(None) && !filter(0, true).takes(None));
    }
}
