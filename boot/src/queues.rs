//! Places the devices' virtqueues in guest memory, so that the guest finds them ready.

use mayfly_abi::layout::{MMIO_HOLE, MMIO_STRIDE, QUEUES, QUEUES_END};
use mayfly_abi::{DEVICE_QUEUES_MAX, DEVICES_MAX, DeviceInfo, QueueInfo};
use thiserror::Error;

/// A device that the guest is to find.
#[derive(Clone, Debug)]
pub struct DeviceRequest {
    /// Virtio device type (virtio 1.2 §5).
    pub kind: u32,
    /// The feature bits that count as negotiated.
    pub features: u64,
    /// First words of the configuration space.
    pub config: u64,
    /// Entries of each queue, powers of two.
    pub queue_sizes: Vec<u16>,
}

/// Devices that cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueueError {
    /// More devices, or more queues of one, than the boot information has room for.
    #[error("a guest has at most {DEVICES_MAX} devices with {DEVICE_QUEUES_MAX} queues each")]
    TooMany,
    /// A queue's size breaks virtio 1.2 §2.7.
    #[error("a virtqueue of {0} entries: the size must be a power of two up to 32768")]
    Size(u16),
    /// The queues do not fit their space.
    #[error("the virtqueues do not fit the space between {QUEUES:#x} and {QUEUES_END:#x}")]
    Space,
}

/// Gives every queue its three areas (virtio 1.2 §2.7: alignments 16, 2 and 4) and every device its
/// register window.
pub(crate) fn place(devices: &[DeviceRequest]) -> Result<[DeviceInfo; DEVICES_MAX], QueueError> {
    let mut placed = [DeviceInfo::default(); DEVICES_MAX];
    if devices.len() > DEVICES_MAX {
        return Err(QueueError::TooMany);
    }
    let mut next = QUEUES;
    for (index, (device, info)) in devices.iter().zip(&mut placed).enumerate() {
        if device.queue_sizes.len() > DEVICE_QUEUES_MAX {
            return Err(QueueError::TooMany);
        }
        *info = DeviceInfo {
            kind: u64::from(device.kind),
            registers: MMIO_HOLE + index as u64 * MMIO_STRIDE,
            features: device.features,
            config: device.config,
            queues: Default::default(),
        };
        for (size, queue) in device.queue_sizes.iter().zip(&mut info.queues) {
            *queue = place_queue(*size, &mut next)?;
        }
    }
    Ok(placed)
}

fn place_queue(size: u16, next: &mut u64) -> Result<QueueInfo, QueueError> {
    if !size.is_power_of_two() || size > 32_768 {
        return Err(QueueError::Size(size));
    }
    let size = u64::from(size);
    let descriptors = next.next_multiple_of(16);
    let available = descriptors + 16 * size;
    let used = (available + 6 + 2 * size).next_multiple_of(4);
    *next = used + 6 + 8 * size;
    if *next > QUEUES_END {
        return Err(QueueError::Space);
    }
    Ok(QueueInfo { size, descriptors, available, used })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(queue_sizes: &[u16]) -> DeviceRequest {
        DeviceRequest { kind: 2, features: 0, config: 0, queue_sizes: queue_sizes.to_vec() }
    }

    #[test]
    fn areas_are_aligned_and_apart() {
        let placed = place(&[device(&[32]), device(&[64, 32, 4])]).unwrap();
        let mut end = QUEUES;
        for queue in placed.iter().flat_map(|device| device.queues).filter(|q| q.size > 0) {
            assert!(queue.descriptors >= end && queue.descriptors % 16 == 0);
            assert!(queue.available >= queue.descriptors + 16 * queue.size);
            assert!(queue.used >= queue.available + 6 + 2 * queue.size && queue.used % 4 == 0);
            end = queue.used + 6 + 8 * queue.size;
        }
        assert!(end <= QUEUES + 4096, "the usual devices share one page");
        assert_ne!(placed[0].registers, placed[1].registers);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(place(&[device(&[48])]).unwrap_err(), QueueError::Size(48));
        assert_eq!(place(&[device(&[1024])]).unwrap_err(), QueueError::Space);
        assert_eq!(place(&vec![device(&[2]); 9]).unwrap_err(), QueueError::TooMany);
    }
}
