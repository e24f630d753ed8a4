//! Roles and contents.

use shs_store::Message;

#[derive(Debug, Default)]
pub(crate) struct TextLines {
    sessions: u64,
}

impl TextLines {
    pub(super) fn begin_session(&mut self, buffer: &mut Vec<u8>) {
        if self.sessions > 0 {
            buffer.push(b'\n');
        }
        self.sessions += 1;
    }

    pub(super) fn message(&self, buffer: &mut Vec<u8>, message: &Message) {
        let role = message.role.as_str().to_uppercase();
        buffer.extend_from_slice(format!("[{role}]: {}\n", message.content).as_bytes());
    }
}
