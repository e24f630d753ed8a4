//! The memory that exchanges may take together.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::guard::locked;

/// The budget of a recorder, in KiB.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    total: u32,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let total = kibibytes(bytes as u64).min(most);
        Self { free: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// A charge for an exchange, of nothing yet.
    pub(super) fn charge(&self) -> Charge {
        let held = Held { memory: self.clone(), permit: None, bytes: 0 };
        Charge { of_exchange: Arc::new(Mutex::new(held)), bytes: 0 }
    }
}

/// What an exchange holds of the budget.
#[derive(Debug)]
struct Held {
    memory: Memory,
    permit: Option<OwnedSemaphorePermit>,
    bytes: u64,
}

impl Held {
    fn grow(&mut self, bytes: u64) -> bool {
        let all = self.bytes.saturating_add(bytes);
        // An exchange that is larger than all there is may take all.
        let wanted = kibibytes(all).min(self.memory.total);
        let held = self.permit.as_ref().map_or(0, |permit| permit.num_permits() as u32);
        if let Some(more) = wanted.checked_sub(held).filter(|more| *more > 0) {
            let free = Arc::clone(&self.memory.free);
            let Ok(more) = free.try_acquire_many_owned(more) else { return false };
            match &mut self.permit {
                Some(permit) => permit.merge(more),
                None => self.permit = Some(more),
            }
        }
        self.bytes = all;
        true
    }

    fn shrink(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let wanted = if self.bytes == 0 { 0 } else { kibibytes(self.bytes) };
        if let Some(permit) = &mut self.permit {
            let spare = permit.num_permits().saturating_sub(wanted as usize);
            drop(permit.split(spare));
        }
    }
}

/// What one side of an exchange takes of the budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    of_exchange: Arc<Mutex<Held>>,
    bytes: u64,
}

impl Charge {
    /// One more for the same exchange, of nothing yet.
    pub(crate) fn sibling(&self) -> Self {
        Self { of_exchange: Arc::clone(&self.of_exchange), bytes: 0 }
    }

    /// Takes so many bytes more; `false` if they are not there.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        let has_room = locked(&self.of_exchange).grow(bytes);
        if has_room {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        has_room
    }

    /// Takes as much as it needs for so many bytes in all.
    #[must_use]
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        bytes <= self.bytes || self.grow(bytes - self.bytes)
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self) {
        locked(&self.of_exchange).shrink(self.bytes);
        self.bytes = 0;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}

/// In units of 1 KiB, one at least.
fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_share_what_there_is() {
        let memory = Memory::new(10 * 1024);
        let (mut one, mut other) = (memory.charge(), memory.charge());
        assert!(one.grow(1) && one.grow(1_000) && one.grow_to(6 * 1024));
        assert!(other.grow(4 * 1024));
        assert!(!other.grow(1));
        one.release();
        assert!(other.grow(1));
        drop(other);
        assert!(one.grow(10 * 1024));
        assert!(!memory.charge().grow(1));
    }

    #[test]
    fn both_sides_of_an_exchange_may_take_more_than_all_if_nothing_else_does() {
        let memory = Memory::new(1024);
        let mut request = memory.charge();
        let mut response = request.sibling();
        assert!(request.grow(5_000) && response.grow(5_000));
        assert!(!memory.charge().grow(1));
        drop(request);
        assert!(!memory.charge().grow(1), "the response still holds all");
        drop(response);
        assert!(memory.charge().grow(u64::MAX));
        assert_eq!(memory.free.available_permits(), 1);
    }
}
