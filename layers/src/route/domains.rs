//! Which virtual host a host name belongs to.
//!
//! Names are compared without case and without copying them. The tables are built from config and
//! never grow by traffic, so a small hash without a seed is safe here.

use super::table::RouteTableError;

/// Domains of all virtual hosts, by kind of pattern.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    exact: NameMap,
    /// `*.example`, the longest first.
    suffixes: Vec<(usize, NameMap)>,
    /// `www.*`, the longest first.
    prefixes: Vec<(usize, NameMap)>,
    any: Option<usize>,
}

impl Domains {
    /// Adds a domain; one that is there already is an error.
    pub(super) fn insert(&mut self, domain: &str, host: usize) -> Result<(), RouteTableError> {
        let is_new = if domain == "*" {
            let is_new = self.any.is_none();
            self.any.get_or_insert(host);
            is_new
        } else if let Some(suffix) = domain.strip_prefix('*') {
            by_length(&mut self.suffixes, suffix.len()).insert(suffix, host)
        } else if let Some(prefix) = domain.strip_suffix('*') {
            by_length(&mut self.prefixes, prefix.len()).insert(prefix, host)
        } else {
            self.exact.insert(domain, host)
        };
        if is_new {
            Ok(())
        } else {
            Err(RouteTableError::DuplicateDomain { domain: domain.to_owned() })
        }
    }

    /// The virtual host for a name: exact, then the longest suffix, the longest prefix, any.
    #[inline]
    pub(super) fn find(&self, authority: &str) -> Option<usize> {
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            return self.any;
        }
        let name = authority.as_bytes();
        if let Some(host) = self.exact.find(name) {
            return Some(host);
        }
        // The star stands for at least one character: `*.foo.com` is not `.foo.com`.
        let shorter = |(len, _): &&(usize, NameMap)| *len < name.len();
        let suffix = self.suffixes.iter().filter(shorter);
        let prefix = self.prefixes.iter().filter(shorter);
        suffix
            .map(|(len, map)| (map, &name[name.len() - len..]))
            .chain(prefix.map(|(len, map)| (map, &name[..*len])))
            .find_map(|(map, part)| map.find(part))
            .or(self.any)
    }
}

fn by_length(groups: &mut Vec<(usize, NameMap)>, len: usize) -> &mut NameMap {
    let at = groups.partition_point(|(other, _)| *other > len);
    if groups.get(at).is_none_or(|(other, _)| *other != len) {
        groups.insert(at, (len, NameMap::default()));
    }
    &mut groups[at].1
}

/// A hash table from names in lower case to indices.
#[derive(Clone, Debug, Default)]
struct NameMap {
    /// Open addressing, at most half full; 0 is free, else an index into `names` plus one.
    slots: Vec<u32>,
    names: Vec<(Box<[u8]>, usize)>,
}

impl NameMap {
    fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn insert(&mut self, name: &str, host: usize) -> bool {
        if self.find(name.as_bytes()).is_some() {
            return false;
        }
        self.names.push((name.to_ascii_lowercase().into_bytes().into(), host));
        if self.names.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.names.len() * 4).next_power_of_two()];
            for at in 0..self.names.len() {
                self.take_slot(at);
            }
        } else {
            self.take_slot(self.names.len() - 1);
        }
        true
    }

    fn take_slot(&mut self, at: usize) {
        let mask = self.slots.len() - 1;
        let mut slot = hash(&self.names[at].0) & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = at as u32 + 1;
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<usize> {
        // One name is the common case: comparing beats hashing.
        if let [(only, host)] = &*self.names {
            return only.eq_ignore_ascii_case(name).then_some(*host);
        }
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash(name) & mask;
        loop {
            let at = self.slots[slot].checked_sub(1)? as usize;
            let (known, host) = &self.names[at];
            if known.eq_ignore_ascii_case(name) {
                return Some(*host);
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// FNV-1a over the lower-case name, with the high bits folded in.
#[inline]
fn hash(name: &[u8]) -> usize {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as usize
}
