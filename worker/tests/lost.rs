//! What a GPU leaves out is told to whoever waits for it. A program of its own, for it fails everything that comes after.

mod golden;

use burn::tensor::{Tensor, backend::Backend as _};
use golden::{Tested, device};
use std::panic;
use worker::{device::lost, kernels::host_floats};

#[test]
fn what_there_was_no_memory_for_is_told() {
    panic::set_hook(Box::new(|info| {
        lost::remember(info);
    }));
    let device = device();
    let ones = || Tensor::<Tested, 2>::ones([4, 4], &device);
    host_floats(ones()).unwrap();
    // 140 TB.
    drop(Tensor::<Tested, 2>::empty([1 << 20, 1 << 25], &device));
    // The device may well say that it did everything.
    drop(Tested::sync(&device));
    let failed = host_floats(ones()).unwrap_err().to_string();
    assert!(failed.contains("--batch-size"), "{failed}");
}
