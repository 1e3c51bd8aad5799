//! When what happened in an environment's start, for whoever wants to see where the time goes.

use mayfly_abi::control::Report;
use serde_json::{Value, json};

use crate::clock::monotonic_ns;

/// Moments as CLOCK_MONOTONIC, ns; 0 for one that has not come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    /// An invocation came that it was needed for.
    asked: u64,
    /// Its root image was there.
    image_ready: u64,
    /// What its VM told.
    pub(super) boot: Report,
    /// Its runtime asked for an invocation.
    ready: u64,
}

impl Moments {
    pub(super) fn asked_now() -> Moments {
        Moments { asked: monotonic_ns(), ..Moments::default() }
    }

    pub(super) fn image_ready_now(&mut self) {
        self.image_ready = monotonic_ns();
    }

    /// The first time counts.
    pub(super) fn ready_now(&mut self) {
        if self.ready == 0 {
            self.ready = monotonic_ns();
        }
    }

    pub(super) fn json(&self) -> Value {
        let Moments { asked, image_ready, boot, ready } = *self;
        let moment = |ns: u64| (ns != 0).then_some(ns);
        json!({
            "asked": moment(asked),
            "image_ready": moment(image_ready),
            "process_started": moment(boot.process_started),
            "kvm_ready": moment(boot.kvm_ready),
            "guest_entered": moment(boot.guest_entered),
            "kernel_ready": moment(boot.kernel_ready),
            "user_entered": moment(boot.user_entered),
            "runtime_ready": moment(ready),
        })
    }
}
