//! What is done with the folder as a whole.

mod archive;
mod backup;
mod publish;
mod repair;
mod restore;
mod salvage;
mod verify;

pub(crate) use self::backup::back_up;
pub use self::backup::backup;
pub use self::repair::repair;
pub use self::restore::restore;
pub use self::verify::verify;
