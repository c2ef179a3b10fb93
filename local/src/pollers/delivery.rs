//! The ways in which messages are delivered: twice or in any order, as a standard queue may, or, for tests, not at all.

use std::fmt;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rustack_sqs_model::types::Message;

type Drops = dyn Fn(&str) -> bool + Send + Sync;

/// The way in which a queue's messages are delivered: by default once and in the order received.
#[derive(Clone, Default)]
pub struct Delivery {
    duplicate: bool,
    seed: Option<u64>,
    drops: Option<Arc<Drops>>,
}

impl Delivery {
    /// Delivers every message twice, the second time in the same batch or a later one.
    #[must_use]
    pub fn duplicated(mut self) -> Self {
        self.duplicate = true;
        self
    }

    /// Receives all available messages together, shuffles them with this seed, and splits them into batches.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Deletes messages without delivering them if `drops` returns true for their body.
    #[must_use]
    pub fn dropping(mut self, drops: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.drops = Some(Arc::new(drops));
        self
    }

    pub(super) fn shuffles(&self) -> bool {
        self.seed.is_some()
    }

    /// Splits messages into those to delete and the batches to deliver.
    pub(super) fn arrange(
        &self,
        messages: Vec<Message>,
        batch_size: usize,
    ) -> (Vec<Message>, Vec<Vec<Message>>) {
        let (dropped, mut kept): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| {
            self.drops
                .as_ref()
                .is_some_and(|drops| drops(message.body.as_deref().unwrap_or_default()))
        });
        if self.duplicate {
            kept.extend(kept.clone());
        }
        if let Some(seed) = self.seed {
            kept.shuffle(&mut StdRng::seed_from_u64(seed));
        }
        (
            dropped,
            kept.chunks(batch_size.max(1))
                .map(<[Message]>::to_vec)
                .collect(),
        )
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("duplicate", &self.duplicate)
            .field("seed", &self.seed)
            .field("drops", &self.drops.is_some())
            .finish()
    }
}
