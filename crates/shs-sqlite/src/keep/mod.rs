//! What is done with the file as a whole.

mod backup;
mod copies;
mod reader;
mod repair;
mod restore;
mod verify;

pub use self::backup::backup;
pub(crate) use self::copies::{Copy, copies, sync_folder_of, with};
pub use self::repair::repair;
pub use self::restore::restore;
pub use self::verify::verify;
