//! Global state of a kernel that runs on one vCPU and never preempts itself.

use core::cell::RefCell;

/// A value that the whole kernel shares. Access is checked: a nested use is a kernel bug and panics
/// instead of aliasing.
#[derive(Debug)]
pub struct KernelCell<T>(RefCell<T>);

// SAFETY: one vCPU runs the kernel, and nothing interrupts it: exceptions inside the kernel end in a
// panic, and the VMM's upcalls wait until the kernel is left. So there is one thread of control.
unsafe impl<T> Sync for KernelCell<T> {}

impl<T> KernelCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> KernelCell<T> {
        KernelCell(RefCell::new(value))
    }

    /// Gives `work` the value.
    ///
    /// # Panics
    /// Where `work` comes back to this same cell.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.borrow_mut())
    }
}
