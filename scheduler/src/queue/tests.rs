//! Every engine behaves alike.

mod commit;
mod database;
mod files;
mod flush;
mod model;
mod outages;
mod owners;
mod random;
mod servers;
mod shared;
mod suite;
