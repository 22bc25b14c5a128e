//! What the units of a cube found, combined in an order that depends on their positions alone.

use cubecl::prelude::*;

/// Units of a cube whose findings are combined.
pub(super) const UNITS: usize = 256;
/// Smaller than every logit and score.
pub(super) const LOWEST: f32 = -1e30;

/// The sum of a number of each unit.
#[cube]
pub(super) fn sum(value: f32) -> f32 {
    let mut sums = SharedMemory::<f32>::new(UNITS);
    let unit = UNIT_POS as usize;
    sums[unit] = value;
    let mut half = comptime!(UNITS / 2).runtime();
    while half > 0 {
        sync_cube();
        if unit < half {
            sums[unit] = sums[unit] + sums[unit + half];
        }
        half /= 2;
    }
    sync_cube();
    sums[0]
}

/// The largest of some numbers.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Largest {
    pub(super) value: f32,
    /// Where it stands first.
    pub(super) at: i32,
}

/// What a unit knows that has seen no number yet: none is smaller, every place is before its own.
#[cube]
pub(super) fn nothing() -> Largest {
    Largest { value: f32::new(LOWEST), at: i32::MAX }
}

/// The largest of what each unit found.
#[cube]
pub(super) fn largest(found: &Largest) -> Largest {
    let mut values = SharedMemory::<f32>::new(UNITS);
    let mut places = SharedMemory::<i32>::new(UNITS);
    let unit = UNIT_POS as usize;
    values[unit] = found.value;
    places[unit] = found.at;
    let mut half = comptime!(UNITS / 2).runtime();
    while half > 0 {
        sync_cube();
        if unit < half {
            let a = values[unit];
            let b = values[unit + half];
            let first = min(places[unit], places[unit + half]);
            let of_larger = select(b > a, places[unit + half], places[unit]);
            places[unit] = select(a == b, first, of_larger);
            values[unit] = max(a, b);
        }
        half /= 2;
    }
    sync_cube();
    Largest { value: values[0], at: places[0] }
}
