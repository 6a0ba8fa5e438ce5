//! Slower, still, and on again.
//!
//! Invariants: a sandbox is taken for frozen only when the kernel has taken the order, so that init is
//! asked whenever it can answer.

use super::Sandbox;
use crate::Error;

impl Sandbox {
    /// Pauses every process inside. Asking init for anything fails until [`Sandbox::thaw`].
    ///
    /// # Errors
    /// When the kernel refuses; without a freezer on this host nothing happens.
    pub fn freeze(&mut self) -> Result<(), Error> {
        self.group().freeze(true)?;
        self.frozen_set(true);
        Ok(())
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn thaw(&mut self) -> Result<(), Error> {
        self.group().freeze(false)?;
        self.frozen_set(false);
        Ok(())
    }

    pub(super) fn frozen_set(&mut self, frozen: bool) {
        self.frozen = frozen;
        self.companions.iter_mut().for_each(|companion| companion.frozen = frozen);
    }

    /// Changes the CPU limit, in thousandths of a core; `None` lifts it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_cpu_millis(&mut self, millis: Option<u32>) -> Result<(), Error> {
        self.group().cpu_set(millis)
    }
}
