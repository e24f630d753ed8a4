//! Who speaks, and how far a message has come.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it, as stored and exported.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(word: &str) -> Result<Self> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Error::invalid(format!(
                        concat!("unknown ", $what, " {:?}; known are: {}"),
                        word.chars().take(40).collect::<String>(),
                        [$($word),+].join(", ")
                    ))),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(word: String) -> Result<Self> {
                word.parse()
            }
        }

        impl From<$name> for &'static str {
            fn from(value: $name) -> Self {
                value.as_str()
            }
        }
    };
}

words! {
    /// Who speaks.
    Role, "role" {
        /// The person, or whatever asks.
        User => "user",
        /// The model, or whatever answers.
        Assistant => "assistant",
        /// Instructions and notices of the system.
        System => "system",
        /// The result of a tool.
        Tool => "tool",
        /// Instructions of the application's developer, where they are kept apart from the system's.
        Developer => "developer",
    }
}

words! {
    /// How far a message has come.
    Status, "status" {
        /// It is being produced or delivered.
        Pending => "pending",
        /// It is complete.
        Delivered => "delivered",
        /// It failed, or it tells of a failure.
        Error => "error",
        /// It ended early; its content is what had come by then.
        Interrupted => "interrupted",
    }
}

impl Default for Status {
    /// [`Status::Delivered`].
    fn default() -> Self {
        Self::Delivered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_role_or_status_is_refused_with_the_known_ones() {
        let error = "robot".parse::<Role>().unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid input: unknown role \"robot\"; known are: user, assistant, system, tool, developer"
        );
        assert!("done".parse::<Status>().unwrap_err().to_string().contains("interrupted"));
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), *role);
        }
    }
}
