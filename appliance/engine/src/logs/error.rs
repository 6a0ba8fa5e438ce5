//! What can go wrong with output.

use base::protocol::Refusal;

/// Output could not be taken or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The runner must do something else first.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The step printed more than is kept.
    #[error("step {step} printed more than the {max} bytes that are kept", max = base::limits::STEP_OUTPUT_MAX)]
    TooLong {
        /// Which.
        step: u32,
    },
    /// Rows could not be read or written.
    #[error("could not read or write the index of output")]
    Store(#[from] store::Error),
    /// A segment could not be read or written.
    #[error("could not read or write a segment of output")]
    Objects(#[from] objects::Error),
    /// A kept frame cannot be read.
    #[error("output of step {step} at offset {offset} is damaged")]
    Damaged {
        /// Of which step.
        step: u32,
        /// Where the frame begins.
        offset: u64,
    },
    /// Compressing failed, or the process is stopping.
    #[error("could not compress output")]
    Compress(#[source] std::io::Error),
}

/// A report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Its output could not be sealed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The engine did not take it.
    #[error(transparent)]
    Engine(#[from] crate::Error),
}
