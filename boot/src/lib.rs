//! Images in, a boot plan out: memory writes and the first CPU state.
#![forbid(unsafe_code)]
