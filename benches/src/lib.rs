//! Measurements, each beside its floor or its peer.
