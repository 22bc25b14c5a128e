//! The operations in burn's own, for every device: short, and the measure of the fast ones.

pub mod adamw;
pub mod attention;
pub mod classes;
pub mod cross_entropy;
pub mod decide;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod rows;
