//! Whose data a call is about.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::check_name;
use crate::{Error, Result, Session, SessionId};

/// The name of a tenant: a customer, an organisation or an application with data of its own.
///
/// It is 0 to 255 bytes of text without control characters, checked when it is made. Names are
/// compared byte by byte. The empty name is the default tenant, which is all that an application
/// with one tenant needs.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Option<Arc<str>>);

impl TenantId {
    /// The tenant with the empty name.
    pub const DEFAULT: Self = Self(None);

    /// Takes the name of a tenant.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is longer than 255 bytes or has a
    /// control character.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        if name.is_empty() {
            return Ok(Self::DEFAULT);
        }
        check_name("a tenant's name", name)?;
        Ok(Self(Some(name.into())))
    }

    /// The name; empty for the default tenant.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether this is the default tenant.
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for TenantId {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<&str> for TenantId {
    type Error = Error;
    fn try_from(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<String> for TenantId {
    type Error = Error;
    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<&String> for TenantId {
    type Error = Error;
    fn try_from(name: &String) -> Result<Self> {
        Self::new(name)
    }
}

impl From<&TenantId> for TenantId {
    fn from(tenant: &TenantId) -> Self {
        tenant.clone()
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.as_str().to_owned()
    }
}

impl AsRef<str> for TenantId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for TenantId {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for TenantId {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// Whose data a call is about: a tenant and, optionally, one of its users.
///
/// Nothing outside of its scope exists for a call: see [`Store`](crate::Store). The default is the
/// default tenant with all of its users. Cloning a scope is cheap.
///
/// # Examples
/// ```
/// use shs_store::Scope;
///
/// let everyone_at_acme = Scope::tenant("acme")?;
/// let alice = everyone_at_acme.as_user("alice")?;
/// assert_eq!((alice.tenant_id().as_str(), alice.user_id()), ("acme", Some("alice")));
/// # Ok::<_, shs_store::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    tenant: TenantId,
    user: Option<Arc<str>>,
}

impl Scope {
    /// The default tenant, with all of its users.
    pub const DEFAULT: Self = Self { tenant: TenantId::DEFAULT, user: None };

    /// A tenant, with all of its users.
    ///
    /// # Errors
    /// Those of [`TenantId::new`].
    pub fn tenant(tenant: impl TryInto<TenantId, Error: Into<Error>>) -> Result<Self> {
        Ok(Self { tenant: tenant.try_into().map_err(Into::into)?, user: None })
    }

    /// A tenant whose name is known to be one, with all of its users.
    pub fn of(tenant: TenantId) -> Self {
        Self { tenant, user: None }
    }

    /// One user of the same tenant.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the user's id is not 1 to 255 bytes of
    /// text without control characters.
    pub fn as_user(&self, user_id: impl AsRef<str>) -> Result<Self> {
        check_name("a user id", user_id.as_ref())?;
        Ok(Self { tenant: self.tenant.clone(), user: Some(user_id.as_ref().into()) })
    }

    /// The tenant.
    pub fn tenant_id(&self) -> &TenantId {
        &self.tenant
    }

    /// The user; `None` if all users of the tenant are meant.
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The same tenant, with all of its users.
    #[must_use]
    pub fn without_user(&self) -> Self {
        Self { tenant: self.tenant.clone(), user: None }
    }

    /// Whether a session of this tenant exists within the scope; for backends.
    pub fn has(&self, session: &Session) -> bool {
        self.has_user(session.user_id.as_deref())
    }

    /// Whether the sessions of a user of this tenant exist within the scope; for backends.
    pub fn has_user(&self, user_id: Option<&str>) -> bool {
        self.user.is_none() || self.user_id() == user_id
    }

    /// Gives a session that is to be stored the scope's user if it names none; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it names another user.
    pub fn claim(&self, user_id: &mut Option<String>) -> Result<()> {
        let Some(user) = self.user_id() else { return Ok(()) };
        if user_id.get_or_insert_with(|| user.to_owned()) == user {
            return Ok(());
        }
        Err(Error::invalid(
            "the session names another user than the scope; leave the user out, or use the scope \
             of the tenant",
        ))
    }

    /// The key of a session in this scope; for backends.
    pub fn key(&self, id: &SessionId) -> SessionKey {
        SessionKey { tenant: self.tenant.clone(), id: id.clone() }
    }
}

/// What a session is stored under: its id, within its tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// The tenant.
    #[serde(default, skip_serializing_if = "TenantId::is_default")]
    pub tenant: TenantId,
    /// The session's id, unique within the tenant.
    pub id: SessionId,
}

impl fmt::Display for SessionKey {
    /// The id, and the tenant before it unless that is the default one. This is for people: it is
    /// not unique.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tenant.is_default() {
            return self.id.fmt(f);
        }
        write!(f, "{} of the tenant {}", self.id, self.tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewSession, Timestamp};

    #[test]
    fn names_are_checked_where_they_enter() {
        assert_eq!(TenantId::new("").unwrap(), TenantId::DEFAULT);
        assert_eq!(serde_json::from_str::<TenantId>("\"\"").unwrap(), TenantId::default());
        for bad in ["a\nb", "\0", &"x".repeat(256)] {
            assert!(Scope::tenant(bad).is_err(), "{bad:?}");
            assert!(Scope::DEFAULT.as_user(bad).is_err(), "{bad:?}");
        }
        assert!(Scope::DEFAULT.as_user("").is_err(), "no user has an empty name");
        assert!(Scope::tenant("x".repeat(255)).is_ok());
    }

    #[test]
    fn a_user_has_their_own_sessions_and_those_that_name_nobody_become_theirs() {
        let alice = Scope::DEFAULT.as_user("alice").unwrap();
        let session = |new: NewSession| new.into_session(Timestamp::MIN).unwrap();
        assert!(alice.has(&session(NewSession::new().with_user("alice"))));
        assert!(!alice.has(&session(NewSession::new().with_user("Alice"))));
        assert!(!alice.has(&session(NewSession::new())));
        assert!(Scope::DEFAULT.has(&session(NewSession::new().with_user("bob"))));

        let mut user = None;
        alice.claim(&mut user).unwrap();
        assert_eq!(user.as_deref(), Some("alice"));
        alice.claim(&mut user).unwrap();
        assert!(alice.claim(&mut Some("bob".to_owned())).is_err());
        Scope::DEFAULT.claim(&mut Some("bob".to_owned())).unwrap();
    }
}
