//! Which microVM runs which call.
#![forbid(unsafe_code)]
