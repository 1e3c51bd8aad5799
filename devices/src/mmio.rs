//! The virtio-mmio register file (virtio 1.2 §4.2.2), version 2 only, in front of any device.
//!
//! ```text
//!              FEATURES_OK             DRIVER_OK
//!   ┌────────┐ accepted    ┌────────┐  written    ┌────────┐
//!   │ fresh  ├────────────►│ set-up ├────────────►│ driven │   queues run
//!   └────────┘ (§2.2.1)    └────────┘ (§3.1.1)    └────────┘
//!        ▲      features        queues: size, addresses, ready         │
//!        └────────────────── Status := 0 (§2.1.2) ◄────────────────────┘
//! ```
//!
//! A guest that the VMM boots by plan skips all that: [`Mmio::attached`] is born driven, because each
//! register access is an exit. Writes out of turn are ignored, as hardware would; nothing here panics.

use mayfly_abi::QueueInfo;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK,
    VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_VERSION_1,
};
use virtio_bindings::virtio_mmio::*;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use vm_memory::GuestMemory;

use crate::queue::QueueState;
use crate::{Fault, GuestFault, Queue};

/// "virt" (virtio 1.2 §4.2.2).
const MAGIC: u32 = u32::from_le_bytes(*b"virt");
/// Modern devices.
const VERSION: u32 = 2;
/// "Mayf": virtio 1.2 gives no meaning to the vendor.
const VENDOR: u32 = u32::from_le_bytes(*b"Mayf");
/// A shared memory region that does not exist has this length and base (§4.2.2).
const NO_SHARED_MEMORY: u32 = u32::MAX;

/// Bytes of configuration space that any of our devices has; more reads as zero.
pub const CONFIG_BYTES: usize = 64;

/// Features of the transport and the queues, offered by every device.
pub const TRANSPORT_FEATURES: u64 =
    1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_INDIRECT_DESC | 1 << VIRTIO_RING_F_EVENT_IDX;

/// What the register file must know of the device behind it.
pub trait VirtioDevice {
    /// Device type (virtio 1.2 §5).
    const DEVICE_ID: u32;
    /// The device's queues: an array.
    type Queues: AsRef<[Queue]> + AsMut<[Queue]>;

    /// The queues, not set up.
    fn queues() -> Self::Queues;
    /// Feature bits of the device itself (0 to 23).
    fn features(&self) -> u64;
    /// The configuration space.
    fn config(&self) -> [u8; CONFIG_BYTES];
    /// The driver resets the device: requests in flight are void.
    fn reset(&mut self);
}

/// What a register write asks of the VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing.
    Stored,
    /// The driver has put buffers into this queue: poll the device.
    Notified(u16),
    /// The driver is ready (DRIVER_OK): poll the device.
    Driven,
    /// The device was reset: what the VMM held for it is void.
    Reset,
}

/// A boot plan that does not fit the device. The host's bug, never the guest's.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AttachError {
    /// Features that the device does not offer, or without VERSION_1.
    #[error("features {0:#x} are not what the device offers")]
    Features(u64),
    /// More queues than the device has.
    #[error("the plan places {0} queues, more than the device has")]
    Queues(usize),
    /// A queue that is placed wrongly.
    #[error(transparent)]
    Queue(#[from] GuestFault),
}

/// All registers, as plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MmioState {
    /// Device status (virtio 1.2 §2.1).
    pub status: u32,
    /// Features that the driver has accepted.
    pub driver_features: u64,
    /// Which 32 bits of the device's features are shown.
    pub device_features_select: u32,
    /// Which 32 bits of the driver's features are written.
    pub driver_features_select: u32,
    /// Queue that the queue registers mean.
    pub queue_select: u32,
    /// Interrupts that the driver has not acknowledged (virtio 1.2 §4.2.2).
    pub interrupts: u32,
    /// Counts changes of the configuration space.
    pub config_generation: u32,
    /// The queues.
    pub queues: Vec<QueueState>,
}

/// A device behind its registers.
#[derive(Debug)]
pub struct Mmio<D: VirtioDevice> {
    device: D,
    queues: D::Queues,
    registers: MmioState,
}

impl<D: VirtioDevice> Mmio<D> {
    /// A fresh device: the guest's driver will find and set it up.
    pub fn new(device: D) -> Self {
        let queues = D::queues();
        let mut mmio = Mmio { device, queues, registers: MmioState::default() };
        mmio.sync_queues();
        mmio
    }

    /// A device as its driver would leave it: `features` negotiated, queues placed, DRIVER_OK. A queue of
    /// size 0 stays not set up.
    ///
    /// # Errors
    /// [`AttachError`]: a plan that does not fit.
    pub fn attached(device: D, features: u64, queues: &[QueueInfo]) -> Result<Self, AttachError> {
        let mut mmio = Mmio::new(device);
        if !mmio.acceptable(features) {
            return Err(AttachError::Features(features));
        }
        let placed = queues.iter().filter(|info| info.size != 0).count();
        if placed > mmio.queues.as_ref().len() {
            return Err(AttachError::Queues(placed));
        }
        for (queue, info) in mmio.queues.as_mut().iter_mut().zip(queues) {
            if info.size != 0 {
                queue.restore(&QueueState {
                    size: u16::try_from(info.size).unwrap_or(0),
                    ready: true,
                    event_index: features & 1 << VIRTIO_RING_F_EVENT_IDX != 0,
                    descriptors: info.descriptors,
                    available: info.available,
                    used: info.used,
                    ..QueueState::default()
                })?;
            }
        }
        mmio.registers.driver_features = features;
        mmio.registers.status = VIRTIO_CONFIG_S_ACKNOWLEDGE
            | VIRTIO_CONFIG_S_DRIVER
            | VIRTIO_CONFIG_S_FEATURES_OK
            | VIRTIO_CONFIG_S_DRIVER_OK;
        mmio.sync_queues();
        Ok(mmio)
    }

    /// A device whose registers are those of `state`, as [`Self::state`] gave them.
    ///
    /// # Errors
    /// [`AttachError`]: a state that no device of this kind can be in.
    pub fn restore(device: D, state: MmioState) -> Result<Self, AttachError> {
        let mut mmio = Mmio::new(device);
        if state.status & VIRTIO_CONFIG_S_FEATURES_OK != 0
            && !mmio.acceptable(state.driver_features)
        {
            return Err(AttachError::Features(state.driver_features));
        }
        let queues = mmio.queues.as_mut();
        if state.queues.len() != queues.len() {
            return Err(AttachError::Queues(state.queues.len()));
        }
        for (queue, saved) in queues.iter_mut().zip(&state.queues) {
            queue.restore(saved)?;
        }
        mmio.registers = state;
        Ok(mmio)
    }

    /// The registers, as plain data. The device's own state is apart.
    pub fn state(&self) -> MmioState {
        let queues = self.queues.as_ref().iter().map(Queue::state).collect();
        MmioState { queues, ..self.registers.clone() }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device and its queues, for its `poll`.
    pub fn parts(&mut self) -> (&mut D, &mut D::Queues) {
        (&mut self.device, &mut self.queues)
    }

    /// The features that were negotiated.
    pub fn features(&self) -> u64 {
        self.registers.driver_features
    }

    /// Whether the driver has said DRIVER_OK: only then may queues run (virtio 1.2 §2.1.2).
    pub fn driven(&self) -> bool {
        self.registers.status & VIRTIO_CONFIG_S_DRIVER_OK != 0
    }

    /// Notes used buffers in InterruptStatus; `true` where an interrupt must be raised for them.
    ///
    /// # Errors
    /// [`Fault::RingOutsideMemory`].
    pub fn announce<M: GuestMemory>(&mut self, mem: &M) -> Result<bool, GuestFault> {
        let mut wanted = false;
        for queue in self.queues.as_mut().iter_mut().filter(|queue| queue.ready()) {
            wanted |= queue.wants_interrupt(mem)?;
        }
        if wanted {
            self.registers.interrupts |= VIRTIO_MMIO_INT_VRING;
        }
        Ok(wanted)
    }

    /// Notes a change of the configuration space (virtio 1.2 §2.5): an interrupt must be raised.
    pub fn config_changed(&mut self) {
        self.registers.config_generation = self.registers.config_generation.wrapping_add(1);
        self.registers.interrupts |= VIRTIO_MMIO_INT_CONFIG;
    }

    /// The guest reads `data.len()` bytes at `offset` of the register window. What does not exist, and a
    /// register that is not read as one aligned word, reads as zero.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let Some(start) = offset.checked_sub(u64::from(VIRTIO_MMIO_CONFIG)) {
            let config = self.device.config();
            let start = usize::try_from(start).unwrap_or(usize::MAX).min(CONFIG_BYTES);
            let count = data.len().min(CONFIG_BYTES - start);
            data[..count].copy_from_slice(&config[start..start + count]);
        } else if let Ok(word) = <&mut [u8; 4]>::try_from(data) {
            *word = self.register(offset as u32).to_le_bytes();
        }
    }

    /// The guest writes `data` at `offset` of the register window.
    ///
    /// # Errors
    /// [`GuestFault`]: a notification of a queue that is not ready, or a queue made ready that can't be.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<Written, GuestFault> {
        // No device of ours has configuration that a driver may write.
        match (u32::try_from(offset), <[u8; 4]>::try_from(data)) {
            (Ok(offset), Ok(word)) => self.set_register(offset, u32::from_le_bytes(word)),
            _ => Ok(Written::Stored),
        }
    }

    fn register(&self, offset: u32) -> u32 {
        let registers = &self.registers;
        let queue = self.queues.as_ref().get(registers.queue_select as usize);
        match offset {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => D::DEVICE_ID,
            VIRTIO_MMIO_VENDOR_ID => VENDOR,
            VIRTIO_MMIO_DEVICE_FEATURES => {
                half(self.offered(), registers.device_features_select).unwrap_or(0)
            }
            VIRTIO_MMIO_QUEUE_NUM_MAX => queue.map_or(0, |queue| u32::from(queue.size_max())),
            VIRTIO_MMIO_QUEUE_READY => queue.map_or(0, |queue| u32::from(queue.ready())),
            VIRTIO_MMIO_INTERRUPT_STATUS => registers.interrupts,
            VIRTIO_MMIO_STATUS => registers.status,
            VIRTIO_MMIO_SHM_LEN_LOW
            | VIRTIO_MMIO_SHM_LEN_HIGH
            | VIRTIO_MMIO_SHM_BASE_LOW
            | VIRTIO_MMIO_SHM_BASE_HIGH => NO_SHARED_MEMORY,
            VIRTIO_MMIO_CONFIG_GENERATION => registers.config_generation,
            _ => 0,
        }
    }

    fn set_register(&mut self, offset: u32, value: u32) -> Result<Written, GuestFault> {
        let registers = &mut self.registers;
        match offset {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => registers.device_features_select = value,
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => registers.driver_features_select = value,
            VIRTIO_MMIO_DRIVER_FEATURES => self.accept_features(value),
            VIRTIO_MMIO_QUEUE_SEL => registers.queue_select = value,
            VIRTIO_MMIO_QUEUE_READY => self.set_queue_ready(value & 1 != 0)?,
            VIRTIO_MMIO_QUEUE_NOTIFY => return self.notify(value),
            VIRTIO_MMIO_INTERRUPT_ACK => registers.interrupts &= !value,
            VIRTIO_MMIO_STATUS => return Ok(self.set_status(value)),
            _ => self.set_queue_field(offset, value),
        }
        Ok(Written::Stored)
    }

    fn notify(&self, value: u32) -> Result<Written, GuestFault> {
        let queue = u16::try_from(value).unwrap_or(u16::MAX);
        let ready = self.queues.as_ref().get(usize::from(queue)).is_some_and(Queue::ready);
        if ready && self.driven() {
            Ok(Written::Notified(queue))
        } else {
            Err(GuestFault { queue, fault: Fault::NotReady })
        }
    }

    /// Status bits are only ever added; 0 resets, and FEATURES_OK stays clear where the driver asks for
    /// what was not offered (virtio 1.2 §2.1, §2.2.2).
    fn set_status(&mut self, value: u32) -> Written {
        if value == 0 {
            self.reset();
            return Written::Reset;
        }
        let before = self.registers.status;
        let mut status = before | value;
        if !self.acceptable(self.registers.driver_features) {
            status &= !VIRTIO_CONFIG_S_FEATURES_OK;
        }
        if status & VIRTIO_CONFIG_S_FEATURES_OK == 0 {
            status &= !VIRTIO_CONFIG_S_DRIVER_OK;
        }
        self.registers.status = status;
        match status & !before & VIRTIO_CONFIG_S_DRIVER_OK {
            0 => Written::Stored,
            _ => Written::Driven,
        }
    }

    fn reset(&mut self) {
        self.device.reset();
        self.queues.as_mut().iter_mut().for_each(Queue::reset);
        let config_generation = self.registers.config_generation;
        self.registers = MmioState { config_generation, ..MmioState::default() };
        self.sync_queues();
    }

    fn offered(&self) -> u64 {
        TRANSPORT_FEATURES | self.device.features()
    }

    fn acceptable(&self, features: u64) -> bool {
        features & !self.offered() == 0 && features & 1 << VIRTIO_F_VERSION_1 != 0
    }

    fn accept_features(&mut self, value: u32) {
        let registers = &mut self.registers;
        if registers.status & VIRTIO_CONFIG_S_FEATURES_OK != 0 {
            return;
        }
        if let Some(shift) = half_shift(registers.driver_features_select) {
            registers.driver_features &= !(u64::from(u32::MAX) << shift);
            registers.driver_features |= u64::from(value) << shift;
        }
    }

    /// Sets a field of the selected queue, as long as that is not ready. The fields gather in
    /// `registers.queues` and are checked together when the driver sets QueueReady.
    fn set_queue_field(&mut self, offset: u32, value: u32) {
        let negotiated = self.registers.status & VIRTIO_CONFIG_S_FEATURES_OK != 0;
        let Some(queue) = self.registers.queues.get_mut(self.registers.queue_select as usize)
        else {
            return;
        };
        if queue.ready || !negotiated {
            return;
        }
        match offset {
            VIRTIO_MMIO_QUEUE_NUM => queue.size = u16::try_from(value).unwrap_or(0),
            VIRTIO_MMIO_QUEUE_DESC_LOW => set_half(&mut queue.descriptors, 0, value),
            VIRTIO_MMIO_QUEUE_DESC_HIGH => set_half(&mut queue.descriptors, 32, value),
            VIRTIO_MMIO_QUEUE_AVAIL_LOW => set_half(&mut queue.available, 0, value),
            VIRTIO_MMIO_QUEUE_AVAIL_HIGH => set_half(&mut queue.available, 32, value),
            VIRTIO_MMIO_QUEUE_USED_LOW => set_half(&mut queue.used, 0, value),
            VIRTIO_MMIO_QUEUE_USED_HIGH => set_half(&mut queue.used, 32, value),
            _ => {}
        }
    }

    fn set_queue_ready(&mut self, ready: bool) -> Result<(), GuestFault> {
        let registers = &mut self.registers;
        let negotiated = registers.status & VIRTIO_CONFIG_S_FEATURES_OK != 0;
        let index = registers.queue_select as usize;
        let (Some(fields), Some(queue)) =
            (registers.queues.get_mut(index), self.queues.as_mut().get_mut(index))
        else {
            return Ok(());
        };
        if !negotiated || fields.ready == ready {
            return Ok(());
        }
        fields.ready = ready;
        fields.event_index = registers.driver_features & 1 << VIRTIO_RING_F_EVENT_IDX != 0;
        if ready {
            queue.restore(fields)
        } else {
            queue.reset();
            Ok(())
        }
    }

    /// Takes the queues' places into the registers.
    fn sync_queues(&mut self) {
        self.registers.queues = self.queues.as_ref().iter().map(Queue::state).collect();
    }
}

/// Where the 32 bits that a feature selector names begin; `None` past the 64 we have.
fn half_shift(select: u32) -> Option<u32> {
    (select < 2).then(|| select * 32)
}

fn half(features: u64, select: u32) -> Option<u32> {
    half_shift(select).map(|shift| (features >> shift) as u32)
}

fn set_half(field: &mut u64, shift: u32, value: u32) {
    *field = *field & !(u64::from(u32::MAX) << shift) | u64::from(value) << shift;
}

#[cfg(test)]
mod tests;
