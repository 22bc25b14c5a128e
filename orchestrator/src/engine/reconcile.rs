//! The reconciler: rereads the record and the executor, compares, acts. It takes no hints; waking it
//! early only makes things happen sooner.

use super::{
    Engine, EngineError, Result,
    apply::{current, happen, settle},
    decide::Event,
};
use crate::{
    domain::work,
    executor::{Job, Liveness, SubmitError, folder},
    secret,
    store::{AttemptRow, NewAttempt},
};
use chrono::{TimeDelta, Utc};
use protocol::{
    API_VERSION,
    attempt::AttemptFile,
    ids::{AttemptId, StageId},
    stage::AttemptState,
};
use sha2::{Digest as _, Sha256};
use std::{collections::HashSet, sync::PoisonError, time::Duration};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a worker may take to write a checkpoint when asked to stop.
const GRACE: TimeDelta = TimeDelta::seconds(10);
/// How often the record is compared although nothing woke the reconciler.
const PERIOD: Duration = Duration::from_secs(2);
/// How many periods pass between two trimmings of the record.
const TRIM_EVERY: u32 = 300;

impl Engine {
    /// Reconciles until `stop`: at once, whenever woken, and every two seconds.
    pub async fn run(&self, stop: CancellationToken) {
        let mut rounds = 0_u32;
        loop {
            if let Err(error) = self.reconcile().await {
                tracing::error!(%error, "failed to reconcile; trying again in two seconds");
            }
            if rounds.is_multiple_of(TRIM_EVERY)
                && let Err(error) = self.store.trim(Utc::now()).await
            {
                tracing::warn!(%error, "failed to trim the record");
            }
            rounds = rounds.wrapping_add(1);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Compares once, and acts on every difference.
    ///
    /// # Errors
    /// When the record can't be used; what was not done is done the next time.
    pub async fn reconcile(&self) -> Result<()> {
        self.follow().await?;
        let unsettled = self.store.unsettled_stages().await?;
        if !unsettled.is_empty() {
            let mut tx = self.store.begin(Utc::now()).await?;
            settle(&mut tx, unsettled).await?;
            tx.commit().await?;
        }
        self.fill_slots().await?;
        self.write_tables().await
    }

    /// Looks after every attempt that is not over.
    async fn follow(&self) -> Result<()> {
        let live = self.store.live_attempts().await?;
        let jobs: Vec<_> = live.iter().map(job).collect();
        let found = self.executor.poll(&jobs).await;
        for attempt in &live {
            match found.get(&attempt.id) {
                Some(Liveness::Alive) => self.tend(attempt).await?,
                Some(&Liveness::Gone(exit)) => {
                    let fresh = attempt.state == AttemptState::Intended && attempt.stop.is_none();
                    if self.read_folder(attempt).await? {
                        continue;
                    }
                    if fresh && !folder::was_entered(&attempt.folder) && exit == Default::default() {
                        // Intended by a daemon that did not come to start it.
                        self.submit(attempt).await?;
                    } else {
                        tracing::warn!(attempt = %attempt.id, ?exit, "the worker is gone without a result");
                        self.happens(attempt.id, Event::Gone(exit)).await?;
                    }
                }
                None => tracing::warn!(attempt = %attempt.id, "the executor does not know what became of it"),
            }
        }
        Ok(())
    }

    /// Looks after an attempt that runs.
    async fn tend(&self, attempt: &AttemptRow) -> Result<()> {
        let news = self.caught_up.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.id);
        if news {
            // What it wrote while no daemon listened.
            self.read_folder(attempt).await?;
        }
        if attempt.state == AttemptState::Intended {
            self.happens(attempt.id, Event::Submitted).await?;
        }
        if let Some(asked) = attempt.stop {
            self.executor.stop(&job(attempt), Utc::now() - asked > GRACE).await;
        }
        Ok(())
    }

    /// Records an event at the attempt's stage; nothing, if the attempt is over by now.
    async fn happens(&self, attempt: AttemptId, event: Event) -> Result<()> {
        let mut tx = self.store.begin(Utc::now()).await?;
        let done = match current(&mut tx, attempt).await {
            Ok((_, stage)) => happen(&mut tx, &stage, event, None).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(_) => Ok(tx.commit().await?),
            Err(EngineError::Refused(why)) => {
                tracing::debug!(%attempt, why, "came too late");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Starts ready stages while there are slots.
    async fn fill_slots(&self) -> Result<()> {
        let slots = self.executor.capabilities().slots;
        let taken: HashSet<_> =
            self.store.live_attempts().await?.iter().map(|attempt| attempt.slot).collect();
        let mut free = (0..slots).filter(|slot| !taken.contains(slot));
        for stage in self.store.ready_stages().await? {
            let Some(slot) = free.next() else { break };
            self.start(stage, slot).await?;
        }
        Ok(())
    }

    /// Intent first: the folder, then the record, then the process. A crash in between leaves either
    /// nothing but an unused folder, or an intended attempt that is found and started again.
    async fn start(&self, stage: StageId, slot: u32) -> Result<()> {
        let Some(work) = self.store.work(stage).await? else { return Ok(()) };
        let spec = work::stage_spec(&self.layout, &work);
        let id = AttemptId(Uuid::now_v7());
        let path = self.layout.attempt(spec.kind(), id);
        let failed = |source| EngineError::File { path: path.display().to_string(), source };
        let token = secret::fresh().map_err(|error| failed(std::io::Error::other(error)))?;
        let file = AttemptFile {
            api_version: API_VERSION,
            attempt: id,
            daemon: self.layout.daemon_file(),
            token: token.clone(),
            spec,
        };
        folder::create(&path, &file).map_err(failed)?;
        let opening = NewAttempt {
            id,
            stage,
            slot,
            token_sha256: hex::encode(Sha256::digest(token.as_bytes())),
            folder: path,
        };
        let mut tx = self.store.begin(Utc::now()).await?;
        let Some(row) = tx.stage(stage).await? else { return Ok(()) };
        match happen(&mut tx, &row, Event::Start, Some(&opening)).await {
            Ok(_) => {}
            Err(EngineError::Refused(why)) => {
                tracing::debug!(%stage, why, "is not to be started any more");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let attempt = tx.attempt(id).await?;
        tx.commit().await?;
        match attempt {
            Some(attempt) => self.submit(&attempt).await,
            None => Ok(()),
        }
    }

    /// Hands an intended attempt to the executor.
    async fn submit(&self, attempt: &AttemptRow) -> Result<()> {
        self.caught_up.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.id);
        match self.executor.submit(&job(attempt)).await {
            Ok(pid) => {
                tracing::info!(attempt = %attempt.id, stage = %attempt.stage, pid, "started a worker");
                let mut tx = self.store.begin(Utc::now()).await?;
                tx.set_pid(attempt.id, pid).await?;
                tx.commit().await?;
                self.happens(attempt.id, Event::Submitted).await
            }
            Err(SubmitError { message, permanent }) => {
                tracing::error!(attempt = %attempt.id, message, "could not be started");
                self.happens(attempt.id, Event::NotSubmitted { message, permanent }).await
            }
        }
    }
}

fn job(attempt: &AttemptRow) -> Job {
    Job { attempt: attempt.id, folder: attempt.folder.clone(), slot: attempt.slot, pid: attempt.pid }
}
