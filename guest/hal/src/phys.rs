//! Frames of guest-physical memory: who holds them, and how their bytes are reached.
//!
//! ```text
//!   frame number        0        first                   bump             end
//!                       │ kernel │ handed out at least    │ never touched: │
//!                       │        │ once (maybe free now)  │ the host's zero│
//!   counts[frame]       –        n > 0 held · free: next   0
//! ```
//!
//! A fresh frame (at or above `bump`) is known to be zero and is not touched when it is handed out:
//! touching a page for the first time is the main cost of a boot. Freed frames form a list through
//! `counts`, so freeing touches nothing either. One vCPU runs the kernel and the kernel does not
//! preempt itself, hence no locks.

use core::ptr;

use crate::dma::DmaRegion;

use mayfly_abi::layout::{MMIO_HOLE, MMIO_HOLE_END, PAGE_SIZE};

/// Bytes in a frame.
pub const FRAME_SIZE: usize = PAGE_SIZE as usize;

/// Of so many frames one is kept for the kernel's heap: what the kernel notes must not fail because programs and caches have
/// taken all memory.
const HEAP_SHARE: u32 = 64;
/// Guesses end where fewer than one of so many frames was never used.
const GUESS_SHARE: u32 = 4;
/// Marks the end of the free list.
const NONE: u32 = u32::MAX;
/// Set in `counts` of a free frame; the other bits are the next free frame.
const FREE: u32 = 1 << 31;
const HOLE_START: u32 = (MMIO_HOLE / PAGE_SIZE) as u32;
const HOLE_END: u32 = (MMIO_HOLE_END / PAGE_SIZE) as u32;

struct Frames {
    /// Kernel pointer to guest-physical address 0.
    base: *mut u8,
    /// One reference count for each frame below `end`.
    counts: *mut u32,
    bump: u32,
    end: u32,
    /// Fresh frames from here on are for [`reserve`] alone.
    heap: u32,
    /// Head of the list of freed frames.
    freed: u32,
    freed_count: u32,
    total: u32,
}

/// How much of the guest's memory is in use, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Frames that the kernel manages.
    pub total: u32,
    /// Frames that nobody holds.
    pub free: u32,
}

/// A counted hold on one frame. Cloning shares the frame; dropping the last hold frees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame(u32);

impl Frame {
    /// A frame full of zeros, or `None` when memory is exhausted.
    pub fn zeroed() -> Option<Frame> {
        with(|frames| {
            let (number, fresh) = frames.take()?;
            if !fresh {
                // SAFETY: `take` just made this frame ours alone, and it lies inside RAM.
                unsafe { ptr::write_bytes(frames.pointer(number), 0, FRAME_SIZE) };
            }
            Some(Frame(number))
        })
    }

    /// A frame that was never used, hence zero, or `None` where few are left. Costs nothing until it is
    /// touched: for guesses about what a program will need. What nobody may ever need is not held when memory is short.
    pub fn fresh() -> Option<Frame> {
        with(|frames| {
            let has_many = frames.fresh() > frames.total / GUESS_SHARE;
            has_many.then(|| frames.take_fresh().map(Frame)).flatten()
        })
    }

    /// A frame whose bytes are unspecified (but initialised): for a caller that fills all of it.
    pub fn scratch() -> Option<Frame> {
        with(|frames| frames.take().map(|(number, _)| Frame(number)))
    }

    /// The frame's guest-physical address.
    pub fn gpa(&self) -> u64 {
        u64::from(self.0) * PAGE_SIZE
    }

    /// Whether this is the only hold on the frame.
    pub fn is_unique(&self) -> bool {
        // SAFETY: a held frame's number indexes `counts`.
        with(|frames| unsafe { *frames.counts.add(self.0 as usize) == 1 })
    }

    /// Copies bytes out of the frame, starting at `offset`.
    ///
    /// # Panics
    /// Where the range leaves the frame.
    pub fn read(&self, offset: usize, to: &mut [u8]) {
        assert!(offset <= FRAME_SIZE && to.len() <= FRAME_SIZE - offset);
        // SAFETY: the range lies inside a frame we hold; `to` is a Rust reference, and no Rust
        // reference to a frame's bytes is ever mutable, so the two do not overlap.
        unsafe { ptr::copy(self.pointer().add(offset), to.as_mut_ptr(), to.len()) };
    }

    /// Copies bytes into the frame, starting at `offset`.
    ///
    /// # Panics
    /// Where the range leaves the frame.
    pub fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset <= FRAME_SIZE && from.len() <= FRAME_SIZE - offset);
        // SAFETY: as in `read`; `copy` allows for overlap.
        unsafe { ptr::copy(from.as_ptr(), self.pointer().add(offset), from.len()) };
    }

    /// Zeroes part of the frame.
    ///
    /// # Panics
    /// Where the range leaves the frame.
    pub fn zero(&self, offset: usize, len: usize) {
        assert!(offset <= FRAME_SIZE && len <= FRAME_SIZE - offset);
        // SAFETY: the range lies inside a frame we hold.
        unsafe { ptr::write_bytes(self.pointer().add(offset), 0, len) };
    }

    /// Copies all of `other` into this frame.
    pub fn copy_from(&self, other: &Frame) {
        // SAFETY: both are whole frames that are held; `copy` allows for them being the same.
        unsafe { ptr::copy(other.pointer(), self.pointer(), FRAME_SIZE) };
    }

    /// The frame's bytes. For frames that nothing writes while they are looked at: cached blocks of the
    /// read-only file system.
    pub fn bytes(&self) -> &[u8; FRAME_SIZE] {
        // SAFETY: a held frame is FRAME_SIZE initialised bytes; the caller keeps to the rule above,
        // and programs do not run while the kernel does.
        unsafe { &*self.pointer().cast() }
    }

    /// Gives up the hold without freeing: a page-table entry now stands for it.
    pub fn into_gpa(self) -> u64 {
        let gpa = self.gpa();
        core::mem::forget(self);
        gpa
    }

    /// Takes back the hold that [`Frame::into_gpa`] left with `gpa`.
    ///
    /// # Safety
    /// `gpa` came from `into_gpa`, and this hold is taken back once.
    pub unsafe fn from_gpa(gpa: u64) -> Frame {
        Frame((gpa / PAGE_SIZE) as u32)
    }

    fn pointer(&self) -> *mut u8 {
        with(|frames| frames.pointer(self.0))
    }
}

impl Clone for Frame {
    fn clone(&self) -> Frame {
        // SAFETY: a held frame's number indexes `counts`. The count cannot reach the FREE bit: 2^31
        // holds of at least eight bytes each are more than the largest guest's memory.
        with(|frames| unsafe { *frames.counts.add(self.0 as usize) += 1 });
        Frame(self.0)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        with(|frames| frames.release(self.0));
    }
}

/// A run of fresh frames, contiguous and zero, that is never freed: for queues, buffers and the heap, which has
/// some for itself when all others are taken.
/// Returns its guest-physical address.
pub fn reserve(count: u32) -> Option<u64> {
    with(|frames| {
        let mut first = frames.bump;
        if first < HOLE_START && first.checked_add(count)? > HOLE_START {
            first = HOLE_END;
        }
        let end = first.checked_add(count)?;
        if end > frames.end {
            return None;
        }
        let before = frames.fresh();
        frames.bump = end;
        frames.total -= before - frames.fresh();
        Some(u64::from(first) * PAGE_SIZE)
    })
}

/// As [`reserve`], `len` bytes, as memory to share with a device.
pub fn reserve_region(len: usize) -> Option<DmaRegion> {
    let gpa = reserve(len.div_ceil(FRAME_SIZE) as u32)?;
    let pointer = ptr::NonNull::new(pointer(gpa))?;
    // SAFETY: the frames were just reserved, for this region alone and for ever.
    Some(unsafe { DmaRegion::from_raw(pointer, gpa, len) })
}

/// How much memory is in use.
pub fn usage() -> Usage {
    with(|frames| Usage { total: frames.total, free: frames.fresh() + frames.freed_count })
}

/// A kernel pointer to a guest-physical address.
pub fn pointer(gpa: u64) -> *mut u8 {
    with(|frames| frames.base.wrapping_add(gpa as usize))
}

impl Frames {
    fn pointer(&self, number: u32) -> *mut u8 {
        debug_assert!(number < self.end);
        self.base.wrapping_add(number as usize * FRAME_SIZE)
    }

    /// Where the heap's share of the frames in `first..end` begins: not in the hole.
    fn heap_share(first: u32, end: u32) -> u32 {
        let start = end - (end - first) / HEAP_SHARE;
        if (HOLE_START..HOLE_END).contains(&start) { HOLE_START } else { start }
    }

    /// Frames that were never handed out, and are not the heap's.
    fn fresh(&self) -> u32 {
        let spans_hole = self.bump <= HOLE_START && self.heap > HOLE_END;
        let hole = if spans_hole { HOLE_END - HOLE_START } else { 0 };
        self.heap.saturating_sub(self.bump + hole)
    }

    /// A free frame with a count of one, and whether it is fresh (zero).
    fn take(&mut self) -> Option<(u32, bool)> {
        if self.freed == NONE {
            return self.take_fresh().map(|number| (number, true));
        }
        let number = self.freed;
        // SAFETY: frames on the list are below `end`.
        let count = unsafe { &mut *self.counts.add(number as usize) };
        let next = *count & !FREE;
        self.freed = if next == NONE & !FREE { NONE } else { next };
        self.freed_count -= 1;
        *count = 1;
        Some((number, false))
    }

    fn take_fresh(&mut self) -> Option<u32> {
        if self.bump >= self.heap {
            return None;
        }
        if self.bump == HOLE_START && self.end > HOLE_END {
            self.bump = HOLE_END;
        }
        let number = self.bump;
        self.bump += 1;
        // SAFETY: `number` is below `end`.
        unsafe { *self.counts.add(number as usize) = 1 };
        Some(number)
    }

    fn release(&mut self, number: u32) {
        // SAFETY: a held frame's number indexes `counts`.
        let count = unsafe { &mut *self.counts.add(number as usize) };
        debug_assert!(*count > 0 && *count & FREE == 0, "frame {number:#x} was freed twice");
        *count -= 1;
        if *count == 0 {
            *count = FREE | (self.freed & !FREE);
            self.freed = number;
            self.freed_count += 1;
        }
    }
}

#[cfg(feature = "bare-metal")]
mod place {
    //! The one table of frames of a running guest.

    use super::Frames;
    use crate::cell::KernelCell;

    static FRAMES: KernelCell<Option<Frames>> = KernelCell::new(None);

    /// Takes charge of the frames in `first..end` (frame numbers, the hole excepted).
    ///
    /// # Safety
    /// Called once; `base` maps all guest-physical memory, those frames are RAM, zero and unused, and
    /// nobody else will use them.
    pub unsafe fn init(base: *mut u8, first: u32, end: u32) {
        let table_frames = (end as usize * 4).div_ceil(super::FRAME_SIZE) as u32;
        let mut frames = Frames {
            base,
            counts: base.wrapping_add(first as usize * super::FRAME_SIZE).cast(),
            bump: first + table_frames,
            end,
            heap: Frames::heap_share(first, end),
            freed: super::NONE,
            freed_count: 0,
            total: 0,
        };
        frames.total = frames.fresh();
        FRAMES.with(|slot| *slot = Some(frames));
    }

    pub(super) fn with<R>(work: impl FnOnce(&mut Frames) -> R) -> R {
        FRAMES.with(|slot| match slot {
            Some(frames) => work(frames),
            None => panic!("frames are used before phys::init"),
        })
    }
}

#[cfg(not(feature = "bare-metal"))]
mod place {
    //! An arena for each thread of a test.

    use super::Frames;
    use std::cell::RefCell;
    use std::vec::Vec;

    /// Frames in a test's arena: 64 MiB.
    const ARENA_FRAMES: u32 = 16_384;

    struct Arena {
        frames: Frames,
        _counts: Vec<u32>,
    }

    impl Arena {
        fn new() -> Arena {
            let layout = std::alloc::Layout::from_size_align(
                ARENA_FRAMES as usize * super::FRAME_SIZE,
                super::FRAME_SIZE,
            )
            .expect("a valid layout");
            // SAFETY: the layout's size is not zero.
            let base = unsafe { std::alloc::alloc_zeroed(layout) };
            assert!(!base.is_null());
            let mut counts = std::vec![0; ARENA_FRAMES as usize];
            let mut frames = Frames {
                base,
                counts: counts.as_mut_ptr(),
                bump: 1,
                end: ARENA_FRAMES,
                heap: Frames::heap_share(1, ARENA_FRAMES),
                freed: super::NONE,
                freed_count: 0,
                total: 0,
            };
            frames.total = frames.fresh();
            Arena { frames, _counts: counts }
        }
    }

    std::thread_local! {
        static ARENA: RefCell<Arena> = RefCell::new(Arena::new());
    }

    pub(super) fn with<R>(work: impl FnOnce(&mut Frames) -> R) -> R {
        ARENA.with(|arena| work(&mut arena.borrow_mut().frames))
    }
}

#[cfg(feature = "bare-metal")]
pub use place::init;
use place::with;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recycled_frame_is_zero_again() {
        let frame = Frame::zeroed().unwrap();
        frame.write(10, b"secret");
        let gpa = frame.gpa();
        drop(frame);
        let again = Frame::zeroed().unwrap();
        assert_eq!(again.gpa(), gpa, "the freed frame is handed out first");
        assert_eq!(again.bytes(), &[0; FRAME_SIZE]);
    }

    #[test]
    fn a_frame_lives_as_long_as_its_last_hold() {
        let before = usage();
        let one = Frame::zeroed().unwrap();
        let two = one.clone();
        assert!(!one.is_unique());
        drop(one);
        assert!(two.is_unique());
        assert_eq!(usage().free, before.free - 1);
        drop(two);
        assert_eq!(usage(), before);
    }

    #[test]
    fn guesses_leave_memory_to_those_who_know() {
        let held: std::vec::Vec<Frame> = core::iter::from_fn(Frame::fresh).collect();
        assert!(!held.is_empty() && usage().free >= usage().total / GUESS_SHARE);
        assert!(Frame::zeroed().is_some());
    }

    #[test]
    fn exhaustion_is_none_and_recovers() {
        let held: std::vec::Vec<Frame> = core::iter::from_fn(Frame::scratch).collect();
        assert_eq!(usage().free, 0);
        // The heap has its share still.
        while reserve(16).is_some() {}
        assert!(reserve(16).is_none() && Frame::zeroed().is_none());
        drop(held);
        assert_eq!(usage().free, usage().total);
        assert!(Frame::zeroed().is_some());
    }
}
