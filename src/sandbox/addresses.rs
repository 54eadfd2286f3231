//! The loopback addresses that instances live on.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

/// Hands out the addresses `127.0.<service>.<1..>`.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    service: u8,
    used: Arc<Mutex<BTreeSet<u8>>>,
}

/// An address that is in use until this is dropped.
#[derive(Debug)]
pub(super) struct Leased {
    address: Ipv4Addr,
    from: Addresses,
}

impl Addresses {
    pub(super) fn new(service: u8) -> Self {
        Self { service, used: Arc::default() }
    }

    /// The lowest address that is free, as Docker would give it.
    pub(super) fn lease(&self) -> Option<Leased> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let host = (1..=254).find(|host| !used.contains(host))?;
        used.insert(host);
        Some(Leased { address: Ipv4Addr::new(127, 0, self.service, host), from: self.clone() })
    }
}

impl Leased {
    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let [.., host] = self.address.octets();
        let mut used = self.from.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.remove(&host);
    }
}
