//! Files in, a read-only EROFS file-system image out.
#![forbid(unsafe_code)]
