//! What the process uses, by the names that all exporters give these.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::family::Families;

#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    started: f64,
}

impl Process {
    /// Called when the server starts.
    pub(super) fn new() -> Process {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Process { started: since.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let version = env!("CARGO_PKG_VERSION");
        families.gauges("waypost_build_info", "The version", None, [(vec![("version", version)], 1.0)])?;
        families.gauges(
            "process_start_time",
            "When the process started",
            Some(Unit::Seconds),
            [(vec![], self.started)],
        )?;
        // Nothing where there is no such file: outside of Linux.
        let resident =
            fs::read_to_string("/proc/self/status").ok().and_then(|status| resident_octets(&status));
        families.gauges(
            "process_resident_memory",
            "Memory that the process occupies",
            Some(Unit::Bytes),
            resident.map(|octets| (vec![], octets)),
        )?;
        let used = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_ticks(&stat));
        let seconds = used.map(|ticks| ticks / rustix::param::clock_ticks_per_second() as f64);
        families.seconds(
            "process_cpu",
            "Time that the process has worked, for itself and in the kernel",
            seconds,
        )?;
        let files = fs::read_dir("/proc/self/fd").ok().map(|files| (vec![], files.count() as f64));
        families.gauges("process_open_fds", "Open file descriptors", None, files)
    }
}

/// The 14th and 15th field; the second one is the name in parentheses, which may have spaces
/// (proc_pid_stat(5)).
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<f64>().ok();
    Some(field()? + field()?)
}

/// `VmRSS:   12345 kB` (proc_pid_status(5)).
fn resident_octets(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert!(cpu_ticks(&fs::read_to_string("/proc/self/stat").unwrap()).is_some());
    }

    #[test]
    fn memory_is_read_from_the_kernels_own_words() {
        assert_eq!(resident_octets("Name:\twaypost\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert!(resident_octets(&fs::read_to_string("/proc/self/status").unwrap()).unwrap() > 1e6);
    }
}
