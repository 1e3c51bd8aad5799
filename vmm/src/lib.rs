//! Carries boot plans and device effects out on KVM.
