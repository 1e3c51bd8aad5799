//! Which places trap often enough to be worth a change.

/// Traps after which a place is looked at. To change a page for the first time costs a copy, a flush and two faults: as
/// much as about 20 traps on a software KVM. A place that has trapped as often will again; the program that makes few
/// calls and ends does not pay for it.
const TRAPS: u8 = 16;
/// Places that are counted at a time; two that share an entry take turns.
const PLACES: usize = 512;
/// Stands for a place that has been looked at.
const SEEN: u8 = u8::MAX;

/// Counts of traps by place.
#[derive(Debug)]
pub struct HotSites {
    places: [(u64, u8); PLACES],
}

impl Default for HotSites {
    fn default() -> HotSites {
        HotSites { places: [(0, 0); PLACES] }
    }
}

impl HotSites {
    /// Counts a trap whose return address is `back`; whether the place is to be looked at now.
    pub fn count(&mut self, back: u64) -> bool {
        let (place, traps) = &mut self.places[index(back)];
        if *place != back {
            (*place, *traps) = (back, 0);
        }
        match *traps {
            SEEN => false,
            TRAPS => {
                *traps = SEEN;
                true
            }
            _ => {
                *traps += 1;
                false
            }
        }
    }
}

/// Spreads addresses of code, which differ in their middle bits (Fibonacci hashing).
fn index(back: u64) -> usize {
    const BITS: u32 = PLACES.trailing_zeros();
    (back.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_looked_at_once_when_it_is_hot() {
        let mut hot = HotSites::default();
        let looks: usize = (0..1000).filter(|_| hot.count(0x40_1007)).count();
        assert_eq!(looks, 1);
        let mut hot = HotSites::default();
        assert!((0..TRAPS).all(|_| !hot.count(0x40_1007)));
        assert!(hot.count(0x40_1007));
    }

    #[test]
    fn places_that_share_an_entry_only_lose_counts() {
        let mut hot = HotSites::default();
        let other = (1..).map(|n| 0x40_1007 + n).find(|b| index(*b) == index(0x40_1007)).unwrap();
        for _ in 0..1000 {
            assert!(!hot.count(0x40_1007) && !hot.count(other));
        }
    }
}
