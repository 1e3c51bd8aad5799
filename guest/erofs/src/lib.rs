//! A reader for EROFS images that trusts nothing it reads.
#![no_std]
#![forbid(unsafe_code)]
