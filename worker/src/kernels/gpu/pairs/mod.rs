//! The pass over all pairs of classes ([`crate::measure`]) in `f64`, as the processor takes it: a tile of inner products per
//! cube, consumed where it was made. Sums are taken per tile in an order that depends on the shapes alone, and tiles are
//! added in a fixed order, so that the same input gives the same bytes; in the last digits these are not the processor's.

mod kernels;

use super::{
    Cube,
    memory::{arg, array, cubes, empty, matrix},
};
use crate::{
    Result,
    kernels::doubles,
    measure::{CANCELS, Kept, Moments, Pairs, Wanted},
};
use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;
use kernels::{ClassesLaunch, SUMS, TILE, UNITS, classes_of_tiles, tiles_of};

/// Adds up what is wanted over all pairs, on a device.
///
/// # Errors
/// When the device has no room for the means and four numbers per pair of class and tile, or fails.
#[expect(unsafe_code, reason = "classes, columns and tiles are compared with their numbers")]
pub(crate) fn pass<R: CubeRuntime>(device: &R::Device, kept: &Kept<'_>, wanted: Wanted) -> Result<Pairs> {
    let (classes, width) = (kept.len(), kept.dim());
    let mut all = Pairs::empty(kept, wanted);
    if wanted == Wanted::NONE {
        return Ok(all);
    }
    let on_device = |values: Vec<f64>, shape| array(&doubles::matrix::<Cube<R>>(values, shape, device));
    let means = on_device((0..classes).flat_map(|i| kept.mean(i)).copied().collect(), [classes, width]);
    let centre = on_device(kept.centre.clone(), [1, width]);
    let variances = kept.variances().unwrap_or_else(|| vec![f64::NAN; classes]);
    let inverse_norms: Vec<f64> = kept.norms.iter().map(|norm| 1.0 / norm).collect();
    let numbers = [kept.squares.clone(), kept.norms.clone(), inverse_norms, variances].concat();
    let numbers = on_device(numbers, [4, classes]);
    let shifts = [&all.sums.distance, &all.sums.log, &all.sums.riesz].map(Moments::shift);
    let shared = on_device([&shifts[..], &[CANCELS]].concat(), [1, shifts.len() + 1]);

    let tiles = classes.div_ceil(TILE);
    let slots = tiles * (tiles + 1) / 2;
    let room = |columns: usize| empty(&means, [slots, columns], DType::F64);
    let sums = room(SUMS);
    let by_class = [wanted.cdnv_by_class, wanted.log_by_class].map(|is| is.then(|| room(2 * TILE)));
    // SAFETY: see above.
    unsafe {
        tiles_of::launch_unchecked::<R>(
            &means.client,
            cubes(tiles * tiles),
            CubeDim::new_2d(UNITS as u32, UNITS as u32),
            ClassesLaunch::new(arg(&means), arg(&centre), arg(&numbers), arg(&shared)),
            arg(&sums),
            // What is not wanted is not written.
            arg(by_class[0].as_ref().unwrap_or(&sums)),
            arg(by_class[1].as_ref().unwrap_or(&sums)),
            classes,
            width,
            tiles,
            wanted,
            kept.compat,
        );
    }
    let of_classes = by_class.map(|by_class| {
        by_class.map(|by_class| {
            let sums = empty(&means, [classes, 1], DType::F64);
            // SAFETY: see above.
            unsafe {
                classes_of_tiles::launch_unchecked::<R>(
                    &means.client,
                    cubes(classes.div_ceil(256)),
                    CubeDim::new_1d(256),
                    arg(&by_class),
                    arg(&sums),
                    classes,
                    tiles,
                );
            }
            matrix(sums)
        })
    });
    for tile in doubles::read(&matrix::<R>(sums))?.chunks_exact(SUMS) {
        all.sums.add(tile.try_into().expect("so many"));
    }
    let [cdnv_squared, log] = of_classes;
    for (place, found) in [(&mut all.cdnv_squared, cdnv_squared), (&mut all.log, log)] {
        if let Some(found) = found {
            *place = doubles::read(&found)?;
        }
    }
    Ok(all)
}
