//! Linux's error numbers.

use core::fmt;

use linux_raw_sys::errno;

/// An error that a system call returns, as a positive number below 4096 (errno(3)).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(u16);

/// What a system call's work comes to.
pub type Result<T, E = Errno> = core::result::Result<T, E>;

macro_rules! errnos {
    ($($name:ident = $number:ident;)*) => {
        impl Errno {
            $(#[doc = stringify!($number)] pub const $name: Errno = Errno(errno::$number as u16);)*
        }

        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Errno::$name => f.write_str(stringify!($number)),)*
                    Errno(other) => write!(f, "errno {other}"),
                }
            }
        }
    };
}

errnos! {
    PERM = EPERM; NOENT = ENOENT; SRCH = ESRCH; INTR = EINTR; IO = EIO; NXIO = ENXIO;
    TOOBIG = E2BIG; NOEXEC = ENOEXEC; BADF = EBADF; CHILD = ECHILD; AGAIN = EAGAIN; NOMEM = ENOMEM;
    ACCES = EACCES; FAULT = EFAULT; BUSY = EBUSY; EXIST = EEXIST; XDEV = EXDEV; NODEV = ENODEV;
    NOTDIR = ENOTDIR; ISDIR = EISDIR; INVAL = EINVAL; NFILE = ENFILE; MFILE = EMFILE; NOTTY = ENOTTY;
    TXTBSY = ETXTBSY; FBIG = EFBIG; NOSPC = ENOSPC; SPIPE = ESPIPE; ROFS = EROFS; MLINK = EMLINK;
    PIPE = EPIPE; DOM = EDOM; RANGE = ERANGE; NAMETOOLONG = ENAMETOOLONG; NOSYS = ENOSYS;
    NOLCK = ENOLCK; NOTEMPTY = ENOTEMPTY; LOOP = ELOOP; NODATA = ENODATA; OVERFLOW = EOVERFLOW;
    ILSEQ = EILSEQ; NOTSOCK = ENOTSOCK; DESTADDRREQ = EDESTADDRREQ; MSGSIZE = EMSGSIZE;
    PROTOTYPE = EPROTOTYPE; NOPROTOOPT = ENOPROTOOPT; PROTONOSUPPORT = EPROTONOSUPPORT;
    OPNOTSUPP = EOPNOTSUPP; AFNOSUPPORT = EAFNOSUPPORT; ADDRINUSE = EADDRINUSE;
    ADDRNOTAVAIL = EADDRNOTAVAIL; NETUNREACH = ENETUNREACH; CONNRESET = ECONNRESET;
    ISCONN = EISCONN; NOTCONN = ENOTCONN; TIMEDOUT = ETIMEDOUT; CONNREFUSED = ECONNREFUSED;
    CONNABORTED = ECONNABORTED;
    ALREADY = EALREADY; INPROGRESS = EINPROGRESS; STALE = ESTALE; UCLEAN = EUCLEAN;
    CANCELED = ECANCELED; DEADLK = EDEADLK; NOBUFS = ENOBUFS; TOOMANYREFS = ETOOMANYREFS;
    SOCKTNOSUPPORT = ESOCKTNOSUPPORT;
}

impl Errno {
    /// The number that a program sees, 1..4096.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// What strerror(3) says of the errors with which a program cannot be started.
    pub const fn text(self) -> &'static str {
        match self {
            Errno::NOENT => "no such file or directory",
            Errno::ACCES => "permission denied, or not a regular file",
            Errno::NOEXEC => {
                "not a program for this machine (no valid x86-64 ELF file, and no `#!` line)"
            }
            Errno::NOTDIR => "a part of the path is not a directory",
            Errno::LOOP => "too many levels of links or scripts",
            Errno::NOMEM => "not enough memory",
            Errno::TOOBIG => "the arguments are too long",
            Errno::IO => "an I/O error of the disk",
            Errno::NAMETOOLONG => "the name is too long",
            Errno::UCLEAN => "the file system is damaged",
            Errno::PERM => "it asks for what no program may have",
            _ => "it failed",
        }
    }
}
