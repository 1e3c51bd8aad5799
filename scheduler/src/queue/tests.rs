//! Every engine behaves alike.

mod commit;
mod files;
mod model;
mod random;
mod suite;
