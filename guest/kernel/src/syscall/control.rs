//! Flags and requests of open files: fcntl(2), ioctl(2).

use alloc::rc::Rc;

use linux_raw_sys::{general as linux, ioctl as requests};

use super::splice::pipe_of;
use super::target::opened;
use super::{Call, CallResult, Stop, interface, locks, owner, terminal};
use crate::errno::{Errno, Result};
use crate::fs::pipe::PIPE_CAPACITY;
use crate::fs::{FileType, Inode, IoctlArgument, OpenFile, OpenFlags, Seals};
use crate::mm::Area;

/// fcntl(2). EBADF, EFAULT, EINVAL, EMFILE.
pub fn fcntl(call: &mut Call<'_>) -> CallResult {
    let [_, _, argument, ..] = call.args;
    let (fd, command) = (call.uint(0), call.uint(1));
    let files = &call.process.files;
    match command {
        linux::F_DUPFD | linux::F_DUPFD_CLOEXEC => {
            Ok(files.dup(fd, argument as u32, command == linux::F_DUPFD_CLOEXEC)?.into())
        }
        linux::F_GETFD => Ok(files.close_on_exec(fd)?.into()),
        linux::F_SETFD => {
            files.set_close_on_exec(fd, argument as u32 & linux::FD_CLOEXEC != 0)?;
            Ok(0)
        }
        linux::F_GETFL => Ok(files.get(fd)?.flags().bits().into()),
        linux::F_SETFL => {
            opened(call, 0)?.set_flags(OpenFlags::from_bits_truncate(argument as u32));
            Ok(0)
        }
        linux::F_GETPIPE_SZ => Ok(pipe_size(&*opened(call, 0)?, None)? as u64),
        linux::F_SETPIPE_SZ => Ok(pipe_size(&*opened(call, 0)?, Some(argument as u32))? as u64),
        linux::F_GET_SEALS => Ok(opened(call, 0)?.seals()?.bits().into()),
        linux::F_ADD_SEALS => {
            let (file, seals) = (opened(call, 0)?, Seals::from_bits(argument as u32));
            let is_mapped = || is_mapped_to_be_written(call, &file);
            file.add_seals(seals.ok_or(Errno::INVAL)?, is_mapped)?;
            Ok(0)
        }
        linux::F_NOTIFY => notify(&*opened(call, 0)?, argument as u32),
        // Nobody asks for leases, since nobody is given one.
        linux::F_GETLEASE => opened(call, 0).map(|_| linux::F_UNLCK.into()).map_err(Stop::from),
        _ => owner::fcntl(call, command, argument)
            .unwrap_or_else(|| locks::record(call, command, argument)),
    }
}

/// How many bytes a pipe holds, once it has been made to hold so many. EBADF, EBUSY, EINVAL, ENOMEM, EPERM.
fn pipe_size(file: &OpenFile, size: Option<u32>) -> Result<usize> {
    match (pipe_of(file), size) {
        (Some(pipe), None) => Ok(pipe.capacity()),
        (Some(pipe), Some(size)) => pipe.set_capacity(size.into()),
        // The host's pipes, at the standard streams: what they hold is its own business.
        (None, size) if file.file_type() == FileType::Fifo => match size {
            None => Ok(PIPE_CAPACITY),
            Some(_) => Err(Errno::PERM),
        },
        _ => Err(Errno::BADF),
    }
}

/// Whether a process has the file mapped so that what it writes reaches the file.
fn is_mapped_to_be_written(call: &Call<'_>, file: &OpenFile) -> bool {
    let inode = file.dentry().inode();
    let writes = |area: &Area| {
        let maps = |(mapped, _): (&Rc<dyn Inode>, u64)| Rc::ptr_eq(mapped, inode);
        let backing = &area.backing;
        backing.is_shared() && !backing.is_read_only() && backing.file().is_some_and(maps)
    };
    call.kernel.processes.living().iter().any(|process| match &*process.memory.borrow() {
        Some(space) => space.borrow().areas().iter().any(writes),
        None => false,
    })
}

/// F_NOTIFY: nobody is told of changes in a directory; that none are wanted is fine. EINVAL, ENOTDIR.
fn notify(file: &OpenFile, wanted: u32) -> CallResult {
    match file.file_type() {
        _ if wanted & !linux::DN_MULTISHOT == 0 => Ok(0),
        FileType::Directory => Err(Errno::INVAL.into()),
        _ => Err(Errno::NOTDIR.into()),
    }
}

/// ioctl(2). EBADF, EFAULT, EINVAL, ENOTTY.
pub fn ioctl(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    let (fd, request, address) = (call.uint(0), call.uint(1), call.args[2]);
    if let Some(result) = terminal::ioctl(call, &file, request) {
        return result;
    }
    if let Some(answer) = interface::ioctl(call, &file, request, address) {
        return Ok(answer.map(|()| 0)?);
    }
    match request {
        requests::FIOCLEX | requests::FIONCLEX => {
            let close = request == requests::FIOCLEX;
            call.process.files.set_close_on_exec(fd, close)?;
            Ok(0)
        }
        requests::FIONBIO => {
            let on = i32::from_le_bytes(call.get(address)?) != 0;
            let mut flags = file.flags();
            flags.set(OpenFlags::NONBLOCK, on);
            file.set_flags(flags);
            Ok(0)
        }
        requests::FIOASYNC => {
            let on = i32::from_le_bytes(call.get(address)?) != 0;
            owner::set_async(&file, on)?;
            Ok(0)
        }
        requests::FIONREAD if file.is_stored() => {
            let rest = file.stat().size.saturating_sub(file.position()?);
            let rest = i32::try_from(rest).unwrap_or(i32::MAX);
            call.put(address, &rest.to_le_bytes())?;
            Ok(0)
        }
        _ => Ok(file.ioctl(request, &Argument { call, address })?.into()),
    }
}

/// An ioctl's argument, which may be an address in the program's memory.
struct Argument<'c, 'k> {
    call: &'c Call<'k>,
    address: u64,
}

impl IoctlArgument for Argument<'_, '_> {
    fn value(&self) -> u64 {
        self.address
    }

    fn read(&self, to: &mut [u8]) -> Result<()> {
        to.copy_from_slice(self.call.bytes(self.address, to.len() as u64)?.bytes());
        Ok(())
    }

    fn write(&self, from: &[u8]) -> Result<()> {
        self.call.put(self.address, from)
    }
}
