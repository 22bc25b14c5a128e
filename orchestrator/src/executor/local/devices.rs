//! The GPUs of this machine.

use std::fs;

/// Names of the GPUs that workers may use, as `CUDA_VISIBLE_DEVICES` takes them.
pub(super) fn visible() -> Vec<String> {
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(list) => parse(&list),
        Err(_) => {
            let count = fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count);
            (0..count).map(|index| index.to_string()).collect()
        }
    }
}

fn parse(list: &str) -> Vec<String> {
    let names = list.split(',').map(str::trim);
    // CUDA ignores everything from the first entry that is none; -1 hides all devices.
    names.take_while(|name| !name.is_empty() && *name != "-1").map(str::to_owned).collect()
}

/// One worker per GPU, or one on a machine without.
#[must_use]
pub fn default_slots() -> u32 {
    u32::try_from(visible().len()).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn visible_devices_are_read_as_cuda_reads_them() {
        assert_eq!(parse("0, 2"), ["0", "2"]);
        assert_eq!(parse("GPU-8a,MIG-1"), ["GPU-8a", "MIG-1"]);
        assert!(parse("").is_empty() && parse("-1,0").is_empty());
    }
}
