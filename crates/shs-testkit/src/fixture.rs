//! What a backend gives the suite: a place to keep data, and a way to open it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shs_store::{AdminStore, Clock, ErrorKind, Result, Store};

use crate::ManualClock;
use crate::audit::audit;

/// A fresh, empty place in which stores of a backend keep their data, such as a temporary folder.
///
/// Each rule of the suite makes one of its own and drops it at the end. See [the crate](crate) for an example.
#[async_trait]
pub trait Fixture: Sized + Send + Sync + 'static {
    /// The store under test.
    type Store: AdminStore;

    /// Whether what was written is there after the store was closed and another one opened.
    const DURABLE: bool;

    /// Whether two stores can be open on one place at once.
    const SHARED: bool;

    /// Makes an empty place. Its stores take the time from `clock`.
    async fn new(clock: Arc<dyn Clock>) -> Self;

    /// Opens a store over the place.
    ///
    /// It is called once, unless the place is [durable](Self::DURABLE), and while no other store is open,
    /// unless it is [shared](Self::SHARED).
    async fn open(&self) -> Result<Self::Store>;
}

/// A fixture with its clock and one open store; what each rule works with.
#[derive(Debug)]
pub struct Place<F: Fixture> {
    /// The fixture.
    pub fixture: F,
    /// The clock of its stores.
    pub clock: Arc<ManualClock>,
    /// The open store.
    pub store: Arc<F::Store>,
}

impl<F: Fixture> Place<F> {
    /// Makes a place and opens a store over it.
    pub async fn new() -> Self {
        Self::with_clock(Arc::new(ManualClock::new())).await
    }

    pub(crate) async fn with_clock(clock: Arc<ManualClock>) -> Self {
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let fixture = F::new(shared).await;
        let store = Arc::new(fixture.open().await.expect("an empty place can be opened"));
        Self { fixture, clock, store }
    }

    /// Opens one more store over the place.
    pub(crate) async fn open(&self) -> Arc<F::Store> {
        Arc::new(self.fixture.open().await.expect("the place can be opened again"))
    }

    /// Closes the store and opens another one over the place.
    pub(crate) async fn reopen(&self) -> Arc<F::Store> {
        self.store.close().await.expect("the store can be closed");
        self.open().await
    }

    /// Moves the clock by a second.
    pub(crate) fn tick(&self) {
        self.clock.advance(Duration::from_secs(1));
    }
}

/// Runs one rule on a fresh place, and then checks that the whole store is sound.
///
/// [`conformance!`](crate::conformance) calls it for each rule; call it for a rule of your own.
///
/// # Panics
/// If the backend breaks the rule.
pub fn run<F: Fixture>(rule: impl AsyncFnOnce(&Place<F>)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be started");
    runtime.block_on(async {
        let place = Place::<F>::new().await;
        rule(&place).await;
        match place.store.flush().await {
            Ok(()) => audit(&*place.store).await,
            Err(error) if error.kind() == ErrorKind::Closed => {}
            Err(error) => panic!("the store cannot be flushed after the rule: {error:?}"),
        }
        place.store.close().await.expect("the store can be closed after the rule");
    });
}
