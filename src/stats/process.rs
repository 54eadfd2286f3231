//! What the operating system says about this process.

/// Memory of this process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use by the process alone: its heap and stacks that are resident.
    pub allocated: u64,
    /// Reserved for heap and stacks, resident or not.
    pub heap_size: u64,
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
        Self { allocated: bytes("RssAnon"), heap_size: bytes("VmData"), physical: bytes("VmRSS") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_in_bytes() {
        let status = "Name:\tx\nVmData:\t  2048 kB\nVmRSS:\t 12 kB\nRssAnon:\t 8 kB\n";
        let memory = Memory { allocated: 8192, heap_size: 2_097_152, physical: 12_288 };
        assert_eq!(Memory::parse(status), memory);
        assert_eq!(Memory::parse("VmRSS: lots"), Memory::default());
    }
}
