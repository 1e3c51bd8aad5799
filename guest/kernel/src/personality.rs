//! What a process wants done otherwise than Linux usually does (personality(2)).

use bitflags::bitflags;

bitflags! {
    /// Bits beside PER_LINUX, which is 0 (<linux/personality.h>).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Personality: u32 {
        /// Addresses of the next program are always the same: programs that save an image of their memory want that.
        const ADDR_NO_RANDOMIZE = 0x4_0000;
        /// What can be read can be executed.
        const READ_IMPLIES_EXEC = 0x40_0000;
    }
}

impl Personality {
    /// As the next program finds it: whether that wants its stack executable, its file says.
    pub fn after_exec(self) -> Personality {
        self - Personality::READ_IMPLIES_EXEC
    }
}
