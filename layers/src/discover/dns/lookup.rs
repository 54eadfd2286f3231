//! What a lookup is: a name and a family in, addresses or one of two errors out.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// Looks names up.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not resolve names",
    label = "needs `Resolver`, as `DnsResolver` has it"
)]
pub trait Resolver: Send + Sync {
    /// The addresses of `name`.
    fn lookup(
        &self,
        name: &str,
        family: LookupFamily,
    ) -> impl Future<Output = Result<Answer, LookupError>> + Send;
}

impl<R: Resolver> Resolver for Arc<R> {
    fn lookup(
        &self,
        name: &str,
        family: LookupFamily,
    ) -> impl Future<Output = Result<Answer, LookupError>> + Send {
        (**self).lookup(name, family)
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The addresses in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// The lowest TTL of all records that led to them. Zero is "don't care": a TTL of 0, a hosts
    /// file, an address that needed no lookup.
    pub ttl: Duration,
}

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// There is no such name (NXDOMAIN), or it has no address of the family asked for. An answer:
    /// somebody knows.
    NotFound,
    /// There was no answer to rely on: SERVFAIL, REFUSED, a timeout, no server.
    Failed {
        /// What went wrong.
        reason: String,
    },
}

impl LookupError {
    pub(super) fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed { reason: reason.to_string() }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such name, or no address of the family asked for"),
            Self::Failed { reason } => f.write_str(reason),
        }
    }
}

impl std::error::Error for LookupError {}

/// `dns_lookup_family`: which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookupFamily {
    /// IPv6, and IPv4 only if there is none.
    #[default]
    Auto,
    /// IPv4.
    V4Only,
    /// IPv6.
    V6Only,
    /// IPv4, and IPv6 only if there is none.
    V4Preferred,
    /// Both.
    All,
}

/// One family's half of an answer.
pub(super) type Half = Result<Answer, LookupError>;

impl LookupFamily {
    pub(super) fn wants_v4(self) -> bool {
        self != Self::V6Only
    }

    pub(super) fn wants_v6(self) -> bool {
        self != Self::V4Only
    }

    /// An address as a name. Envoy 1.40 takes an IPv4 address whatever the family, and refuses an
    /// IPv6 address only where IPv4 was asked for.
    pub(super) fn literal(self, ip: IpAddr) -> Half {
        if ip.is_ipv6() && self == Self::V4Only {
            return Err(LookupError::failed(format_args!(
                "{ip} is an IPv6 address, and only IPv4 is wanted"
            )));
        }
        Ok(Answer { addresses: vec![ip], ttl: Duration::ZERO })
    }

    /// The loopback addresses that `localhost` stands for (RFC 6761 section 6.3).
    pub(super) fn loopback(self) -> Half {
        let of = |ip| Ok(Answer { addresses: vec![ip], ttl: Duration::ZERO });
        self.choose(of(Ipv4Addr::LOCALHOST.into()), of(Ipv6Addr::LOCALHOST.into()))
    }

    /// Makes one answer of the two families' halves; the half not wanted is ignored.
    ///
    /// As Envoy 1.40: addresses of one family count even if the other's lookup failed; without any
    /// address, one failed half makes the lookup a failure, because who knows what was there.
    pub(super) fn choose(self, v4: Half, v6: Half) -> Half {
        let (first, second) = match self {
            Self::V4Only => return found(v4),
            Self::V6Only => return found(v6),
            Self::V4Preferred => (found(v4), found(v6)),
            Self::Auto | Self::All => (found(v6), found(v4)),
        };
        match (first, second) {
            (Ok(mut all), Ok(more)) if self == Self::All => {
                all.addresses.extend(more.addresses);
                all.ttl = all.ttl.min(more.ttl);
                Ok(all)
            }
            (Ok(answer), _) | (Err(_), Ok(answer)) => Ok(answer),
            (Err(failed @ LookupError::Failed { .. }), _) | (_, Err(failed)) => Err(failed),
        }
    }
}

fn found(half: Half) -> Half {
    half.and_then(
        |answer| {
            if answer.addresses.is_empty() { Err(LookupError::NotFound) } else { Ok(answer) }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use LookupFamily::{All, Auto, V4Only, V4Preferred, V6Only};

    fn half(addresses: &[&str], ttl: u64) -> Half {
        Ok(Answer {
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ttl: Duration::from_secs(ttl),
        })
    }

    #[test]
    fn a_family_is_preferred_or_alone_or_joined() {
        let both = |family: LookupFamily| family.choose(half(&["10.0.0.1"], 3), half(&["::1"], 9));
        assert_eq!(both(Auto), half(&["::1"], 9));
        assert_eq!(both(V4Only), half(&["10.0.0.1"], 3));
        assert_eq!(both(V6Only), half(&["::1"], 9));
        assert_eq!(both(V4Preferred), half(&["10.0.0.1"], 3));
        assert_eq!(both(All), half(&["::1", "10.0.0.1"], 3));
    }

    #[test]
    fn the_other_family_stands_in_for_an_empty_or_failed_one() {
        for none in [half(&[], 0), Err(LookupError::NotFound), Err(LookupError::failed("SERVFAIL"))]
        {
            assert_eq!(Auto.choose(half(&["10.0.0.1"], 1), none.clone()), half(&["10.0.0.1"], 1));
            assert_eq!(V4Preferred.choose(none.clone(), half(&["::1"], 1)), half(&["::1"], 1));
            assert_eq!(All.choose(none, half(&["::1"], 1)), half(&["::1"], 1));
        }
    }

    #[test]
    fn without_any_address_one_failure_is_the_answer() {
        let failed = Err(LookupError::failed("SERVFAIL"));
        for family in [Auto, V4Preferred, All] {
            assert_eq!(family.choose(half(&[], 0), failed.clone()), failed);
            assert_eq!(family.choose(failed.clone(), half(&[], 0)), failed);
            assert_eq!(
                family.choose(half(&[], 0), Err(LookupError::NotFound)),
                Err(LookupError::NotFound)
            );
        }
        assert_eq!(V4Only.choose(half(&[], 0), failed), Err(LookupError::NotFound));
    }

    #[test]
    fn only_an_ipv6_address_for_ipv4_only_is_refused() {
        for family in [Auto, V4Only, V6Only, V4Preferred, All] {
            assert_eq!(family.literal([127, 0, 0, 7].into()), half(&["127.0.0.7"], 0));
            assert_eq!(family.literal(Ipv6Addr::LOCALHOST.into()).is_ok(), family != V4Only);
        }
    }
}
