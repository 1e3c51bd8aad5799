//! The kernel's heap: talc, fed with frames as it grows.

use core::alloc::Layout;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::{DefaultBinning, TalcCell};

use crate::phys::{self, FRAME_SIZE, Frame};

/// Frames that the heap takes at a time: few enough that a small guest wastes little, enough that
/// growing is rare. Fresh frames cost nothing until they are touched.
const GROWTH_FRAMES: usize = 16;

/// Bytes of a chunk that talc needs for itself, generously.
const OVERHEAD: usize = 256;

#[derive(Debug)]
struct Frames;

// SAFETY: `acquire` calls nothing that allocates: frames are counted in a table of their own.
unsafe impl Source for Frames {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let bytes = layout.size() + layout.align() + OVERHEAD;
        let frames = bytes.div_ceil(FRAME_SIZE).max(GROWTH_FRAMES);
        let (gpa, frames) = match phys::reserve(frames as u32) {
            Some(gpa) => (gpa, frames),
            // No fresh run is left: a single used frame serves a small allocation.
            None if bytes <= FRAME_SIZE => (Frame::scratch().ok_or(())?.into_gpa(), 1),
            None => return Err(()),
        };
        // SAFETY: the frames are ours from here on, and are never given back.
        unsafe { talc.claim(phys::pointer(gpa), frames * FRAME_SIZE) }.map(drop).ok_or(())
    }
}

// SAFETY: one vCPU runs the kernel, which does not preempt itself: no two calls overlap.
#[global_allocator]
static HEAP: TalcSyncCell<Frames, DefaultBinning> =
    unsafe { TalcSyncCell::new(TalcCell::new(Frames)) };
