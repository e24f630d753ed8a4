//! What is done with the file as a whole.

mod copies;

pub(crate) use self::copies::{Copy, copies, sync_folder_of};
