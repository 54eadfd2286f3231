//! Why a response is not simply the upstream's: Envoy's response flags.
//!
//! ```
//! use front_proxy_layers::response_flags::{ResponseFlag, ResponseFlags};
//!
//! let mut flags = ResponseFlags::default();
//! assert_eq!(flags.to_string(), "-");
//! flags.insert(ResponseFlag::UpstreamRetryLimitExceeded);
//! flags.insert(ResponseFlag::UpstreamConnectionFailure);
//! assert_eq!(flags.to_string(), "URX,UF");
//! assert_eq!(flags.long().to_string(), "UpstreamRetryLimitExceeded,UpstreamConnectionFailure");
//! ```

use std::fmt;

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident $short:literal $long:literal,)*) => {
        /// One reason. They are printed in this order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ResponseFlag {
            $($(#[$doc])* $name,)*
        }

        impl ResponseFlag {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// The short name, as in access logs: `UF`.
            pub fn short(self) -> &'static str {
                match self { $(Self::$name => $short,)* }
            }

            /// The long name: `UpstreamConnectionFailure`.
            pub fn long(self) -> &'static str {
                match self { $(Self::$name => $long,)* }
            }
        }
    };
}

flags! {
    /// The proxy itself failed its health check.
    FailedLocalHealthCheck "LH" "FailedLocalHealthCheck",
    /// All retries were used up. Envoy notes this before what became of the last try.
    UpstreamRetryLimitExceeded "URX" "UpstreamRetryLimitExceeded",
    /// No healthy endpoint in the cluster.
    NoHealthyUpstream "UH" "NoHealthyUpstream",
    /// The route's timeout, or that of a try, ran out.
    UpstreamRequestTimeout "UT" "UpstreamRequestTimeout",
    /// The proxy reset the stream.
    LocalReset "LR" "LocalReset",
    /// The upstream reset the stream.
    UpstreamRemoteReset "UR" "UpstreamRemoteReset",
    /// No connection to the endpoint.
    UpstreamConnectionFailure "UF" "UpstreamConnectionFailure",
    /// The upstream closed the connection.
    UpstreamConnectionTermination "UC" "UpstreamConnectionTermination",
    /// A circuit breaker refused.
    UpstreamOverflow "UO" "UpstreamOverflow",
    /// No route matched.
    NoRouteFound "NR" "NoRouteFound",
    /// A fault filter delayed the request.
    DelayInjected "DI" "DelayInjected",
    /// A fault filter answered.
    FaultInjected "FI" "FaultInjected",
    /// A rate limit answered.
    RateLimited "RL" "RateLimited",
    /// An authorization service refused.
    UnauthorizedExternalService "UAEX" "UnauthorizedExternalService",
    /// The rate limit service failed.
    RateLimitServiceError "RLSE" "RateLimitServiceError",
    /// The client closed the connection.
    DownstreamConnectionTermination "DC" "DownstreamConnectionTermination",
    /// Nothing moved on the stream for too long.
    StreamIdleTimeout "SI" "StreamIdleTimeout",
    /// A router control header held nonsense.
    InvalidEnvoyRequestHeaders "IH" "InvalidEnvoyRequestHeaders",
    /// The client broke the protocol.
    DownstreamProtocolError "DPE" "DownstreamProtocolError",
    /// The upstream stream reached its greatest duration.
    UpstreamMaxStreamDurationReached "UMSDR" "UpstreamMaxStreamDurationReached",
    /// A cache answered.
    ResponseFromCacheFilter "RFCF" "ResponseFromCacheFilter",
    /// A filter's config is missing.
    NoFilterConfigFound "NFCF" "NoFilterConfigFound",
    /// The downstream stream reached its greatest duration.
    DurationTimeout "DT" "DurationTimeout",
    /// The upstream broke the protocol.
    UpstreamProtocolError "UPE" "UpstreamProtocolError",
    /// The route's cluster does not exist.
    NoClusterFound "NC" "NoClusterFound",
    /// The proxy was overloaded.
    OverloadManager "OM" "OverloadManagerTerminated",
    /// A name could not be resolved.
    DnsResolutionFailed "DF" "DnsResolutionFailed",
    /// The cluster asked to drop the request.
    DropOverload "DO" "DropOverload",
    /// The client reset the stream.
    DownstreamRemoteReset "DR" "DownstreamRemoteReset",
    /// The cluster asked to drop all requests.
    UnconditionalDropOverload "UDO" "UnconditionalDropOverload",
}

/// A set of [`ResponseFlag`]s. It prints as Envoy logs it: short names, or `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFlags(u32);

impl ResponseFlags {
    /// Adds a flag.
    pub fn insert(&mut self, flag: ResponseFlag) {
        self.0 |= 1 << flag as u32;
    }

    /// Whether a flag is set.
    pub fn contains(self, flag: ResponseFlag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// Whether none is.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The flags in the order in which they are printed.
    pub fn iter(self) -> impl Iterator<Item = ResponseFlag> {
        let all = ResponseFlag::ALL.iter().copied();
        all.filter(move |flag| self.contains(*flag))
    }

    /// The same with long names.
    pub fn long(self) -> impl fmt::Display {
        Printed(self, ResponseFlag::long)
    }
}

impl From<ResponseFlag> for ResponseFlags {
    fn from(flag: ResponseFlag) -> Self {
        Self::from_iter([flag])
    }
}

impl FromIterator<ResponseFlag> for ResponseFlags {
    fn from_iter<I: IntoIterator<Item = ResponseFlag>>(flags: I) -> Self {
        let mut set = Self::default();
        flags.into_iter().for_each(|flag| set.insert(flag));
        set
    }
}

impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printed(*self, ResponseFlag::short).fmt(f)
    }
}

struct Printed(ResponseFlags, fn(ResponseFlag) -> &'static str);

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(flags, name) = self;
        if flags.is_empty() {
            return f.write_str("-");
        }
        for (n, flag) in flags.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            f.write_str(name(flag))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_flag_has_a_bit_and_names_of_its_own() {
        let all: ResponseFlags = ResponseFlag::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), ResponseFlag::ALL.len());
        for flag in ResponseFlag::ALL {
            let alone = ResponseFlags::from(*flag);
            assert_eq!(alone.iter().collect::<Vec<_>>(), [*flag]);
            assert_eq!(alone.to_string(), flag.short());
        }
        let shorts: HashSet<_> = all.iter().map(ResponseFlag::short).collect();
        let longs: HashSet<_> = all.iter().map(ResponseFlag::long).collect();
        assert_eq!((shorts.len(), longs.len()), (30, 30));
    }

    #[test]
    fn names_come_in_envoys_order() {
        let flags = [
            ResponseFlag::DownstreamProtocolError,
            ResponseFlag::NoRouteFound,
            ResponseFlag::UpstreamRequestTimeout,
        ];
        let flags: ResponseFlags = flags.into_iter().collect();
        assert_eq!(flags.to_string(), "UT,NR,DPE");
        assert!(!flags.contains(ResponseFlag::LocalReset));
    }
}
