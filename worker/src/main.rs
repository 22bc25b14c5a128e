//! The `lc-worker` program.

use std::process::ExitCode;

/// Training allocates and frees large tensors all the time, where this allocator is much faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    worker::cli::main()
}
