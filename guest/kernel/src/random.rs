//! Random numbers: ChaCha20, keyed by the host's seed and, where it exists, the processor's generator.
//!
//! The seed is fresh for each VM. RDRAND is mixed in, never trusted alone: the result is unpredictable
//! if either source is.

use core::cell::RefCell;

use mayfly_abi::{CpuInfo, SEED_BYTES};
use mayfly_hal::cpu;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator.
pub struct Random(RefCell<ChaCha20Rng>);

impl Random {
    /// A generator from the boot information's seed.
    pub fn new(seed: &[u8; SEED_BYTES], processor: &CpuInfo) -> Random {
        let mut key = [0; 32];
        for (index, byte) in seed.iter().enumerate() {
            key[index % 32] ^= byte;
        }
        if processor.features & CpuInfo::RDRAND != 0 {
            for word in key.chunks_exact_mut(8) {
                let random = cpu::random().unwrap_or(0);
                for (byte, more) in word.iter_mut().zip(random.to_le_bytes()) {
                    *byte ^= more;
                }
            }
        }
        Random(RefCell::new(ChaCha20Rng::from_seed(key)))
    }

    /// Fills `to`.
    pub fn fill(&self, to: &mut [u8]) {
        self.0.borrow_mut().fill_bytes(to);
    }

    /// A number.
    pub fn next(&self) -> u64 {
        self.0.borrow_mut().next_u64()
    }
}
