//! Whole studies with the real `lcctl`, the real daemon and real workers.

mod crash;
mod place;
mod real_text;
#[path = "../waiting/mod.rs"]
mod waiting;
