//! Why a queue refuses.

/// Why a queue does not take a message or a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// As many messages wait in this queue as may.
    Long,
    /// This queue has as many bytes as it may.
    Full,
    /// As much waits in all queues together as may.
    NoMemory,
    /// There are as many queues as there may be.
    TooMany,
    /// The queue has no subscriber, and the message is not to wait.
    NoSubscriber,
}
