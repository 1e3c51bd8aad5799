//! The image writer and the guest's reader against each other, against liars, and against the
//! format's own tools and kernel.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

#[path = "erofs/hostile.rs"]
mod hostile;
#[path = "erofs/model.rs"]
mod model;
#[path = "erofs/round_trip.rs"]
mod round_trip;
#[path = "erofs/tools.rs"]
mod tools;
