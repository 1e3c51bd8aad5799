//! Schedules: functions and queues that are called by the clock (EventBridge Scheduler user guide).

pub mod expression;
