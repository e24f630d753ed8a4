//! Bits, the lowest first, as Brotli has them.

#[derive(Default)]
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    partial: u64,
    count: u32,
}

impl Bits {
    pub(crate) fn push(&mut self, value: u32, bits: u32) {
        self.partial |= u64::from(value) << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.partial as u8);
            self.partial >>= 8;
            self.count -= 8;
        }
    }

    /// Fills up the last byte.
    pub(crate) fn align(&mut self) {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
    }
}
