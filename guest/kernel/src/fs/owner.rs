//! Who wants to be told that an open file is ready (fcntl(2) F_SETOWN_EX).

/// What an owner's number is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnerKind {
    /// A thread.
    Thread,
    /// A process.
    #[default]
    Process,
    /// A process group.
    Group,
}

/// Somebody; number 0: nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// What it is.
    pub kind: OwnerKind,
    /// Its number.
    pub id: u32,
}
