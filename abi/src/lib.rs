//! Every byte that two sides must agree on.
#![no_std]
#![forbid(unsafe_code)]
