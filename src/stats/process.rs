//! What the operating system says about this process.

/// Memory of this process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use by the process alone: its heap and stacks that are resident.
    pub allocated: u64,
    /// The same, with what was swapped out. Envoy's `heap_size` leaves out what is reserved only, too.
    pub heap_size: u64,
    /// Reserved for heap and stacks, and backed by nothing: never used, or given back.
    pub unmapped: u64,
    /// Resident, with shared files.
    pub physical: u64,
}

impl Memory {
    /// As it is now; zeros where the system does not say.
    pub fn now() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn parse(status: &str) -> Self {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
            kib.map_or(0, |kib: u64| kib * 1024)
        };
        let (allocated, reserved) = (bytes("RssAnon"), bytes("VmData"));
        let heap_size = allocated + bytes("VmSwap");
        let unmapped = reserved.saturating_sub(heap_size);
        Self { allocated, heap_size, unmapped, physical: bytes("VmRSS") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_in_bytes() {
        let status =
            "Name:\tx\nVmData:\t  2048 kB\nVmRSS:\t 12 kB\nRssAnon:\t 8 kB\nVmSwap:\t 4 kB\n";
        let memory =
            Memory { allocated: 8192, heap_size: 12_288, unmapped: 2_084_864, physical: 12_288 };
        assert_eq!(Memory::parse(status), memory);
        assert_eq!(Memory::parse("VmRSS: lots"), Memory::default());
    }
}
