//! Gives programs with GPU kernels `LC_KERNELS`, a name for what these kernels are made of: compiled ones are kept from job to
//! job under it, so that no program runs those of another (`kernels::gpu::configure`).

use std::{
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
};

/// The kernels, constants of theirs, and the versions of the libraries that have others and write the code of all.
const SOURCES: [&str; 3] = ["src/kernels/gpu", "src/kernels/plain", "../Cargo.lock"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_GPU").is_none() {
        return Ok(());
    }
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        for file in files(Path::new(source))?.iter().filter(|file| !file.ends_with("tests.rs")) {
            fs::read(file)?.hash(&mut hasher);
        }
    }
    println!("cargo::rustc-env=LC_KERNELS={:016x}", hasher.finish());
    Ok(())
}

/// The files below a folder, in the order of their names; of a file, itself.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(path)? {
        all.extend(files(&entry?.path())?);
    }
    all.sort();
    Ok(all)
}
