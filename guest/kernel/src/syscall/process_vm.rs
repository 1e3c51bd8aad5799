//! Bytes from one part of a process's memory to another: process_vm_readv(2), process_vm_writev(2).
//!
//! A program asks for this of itself to look at memory that may not be there: the answer is EFAULT, and no signal.

use alloc::vec::Vec;

use super::transfer::{Buffer, gather, reach, vector_at, window};
use super::{Call, CallResult};
use crate::errno::{Errno, Result};

/// process_vm_readv(2), of the caller's own process. EFAULT, EINVAL, ESRCH; EPERM for another.
pub fn process_vm_readv(call: &mut Call<'_>) -> CallResult {
    let [own, other] = sides(call)?;
    Ok(copy(call, &other, &own)?)
}

/// process_vm_writev(2). As process_vm_readv(2).
pub fn process_vm_writev(call: &mut Call<'_>) -> CallResult {
    let [own, other] = sides(call)?;
    Ok(copy(call, &own, &other)?)
}

/// The caller's buffers, and those that it calls the other's.
fn sides(call: &Call<'_>) -> Result<[Vec<Buffer>; 2]> {
    let [_, own, own_count, other, other_count, flags] = call.args;
    if flags != 0 {
        return Err(Errno::INVAL);
    }
    let sides = [vector_at(call, own, own_count)?, vector_at(call, other, other_count)?];
    if !call.process.threads.borrow().contains(&call.uint(0)) {
        let is_there = call.kernel.processes.get(call.uint(0)).is_some();
        return Err(if is_there { Errno::PERM } else { Errno::SRCH });
    }
    Ok(sides)
}

/// Copies as far as both sides reach: how many bytes. EFAULT where that is not one.
fn copy(call: &Call<'_>, from: &[Buffer], to: &[Buffer]) -> Result<u64> {
    let mut done = 0;
    loop {
        let room = window(to, done);
        if room.len == 0 {
            return Ok(done);
        }
        let step = gather(call, from, done).and_then(|bytes| {
            let len = room.len.min(bytes.len() as u64);
            let mut range = reach(call, Buffer { len, ..room }, true)?;
            let count = range.len();
            range.bytes_mut().copy_from_slice(&bytes[..count]);
            Ok(count as u64)
        });
        match step {
            Ok(0) => return Ok(done),
            Ok(count) => done += count,
            Err(_) if done > 0 => return Ok(done),
            Err(errno) => return Err(errno),
        }
    }
}
