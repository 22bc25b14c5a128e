//! Stages onto this machine, one process each, as far as there are slots.

use super::{Engine, EngineError, Result, apply::happen, decide::Event, queue::discard, reconcile::job};
use crate::{
    domain::{
        resources::Request,
        work::{self, Work},
    },
    executor::{Order, SubmitError, folder},
    secret,
    store::{AttemptRow, NewAttempt},
};
use chrono::Utc;
use protocol::{
    API_VERSION,
    attempt::{ATTEMPT_FILE, AttemptFile},
    ids::{AttemptId, StageId},
    stage::StageState,
    view::StageView,
};
use std::{collections::HashSet, path::PathBuf, sync::PoisonError};
use uuid::Uuid;

impl Engine {
    /// Starts ready stages while there are slots.
    pub(super) async fn fill_slots(&self) -> Result<()> {
        let slots = self.executor.capabilities().slots;
        let taken: HashSet<_> =
            self.store.live_attempts().await?.iter().map(|attempt| attempt.slot).collect();
        let mut free = (0..slots).filter(|slot| !taken.contains(slot));
        for stage in self.store.ready_stages().await? {
            let Some(slot) = free.next().filter(|_| self.executor.can_start()) else { break };
            self.start(stage, slot).await?;
        }
        Ok(())
    }

    /// Says of stages that could run why they do not, while nothing can be started.
    pub fn explain<'a>(&self, stages: impl IntoIterator<Item = &'a mut StageView>) {
        let Some(why) = self.executor.trouble() else { return };
        for stage in stages {
            // What is queued without a reason was not claimed yet.
            let stuck = stage.state == StageState::Ready
                || (stage.state == StageState::Queued && stage.reason.is_none());
            if stuck {
                stage.reason = Some(why.clone());
            }
        }
    }

    /// Intent first: the folder, then the record, then the process. A crash in between leaves either
    /// nothing but an unused folder, or an intended attempt that is found and started again.
    async fn start(&self, stage: StageId, slot: u32) -> Result<()> {
        let Some(work) = self.store.work(stage).await? else { return Ok(()) };
        let id = AttemptId(Uuid::now_v7());
        let path = self.layout.attempt(work.kind(), id);
        let failed = |source| EngineError::File { path: path.display().to_string(), source };
        let (file, token_sha256) = self.attempt_file(id, &work, Vec::new(), false).map_err(failed)?;
        let created = folder::create(&path, &file).map_err(failed);
        let opening = NewAttempt { id, stage, slot, token_sha256, folder: path.clone(), queued: None };
        let opened = match created {
            Ok(()) => self.open(&opening).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(Some(attempt)) => return self.submit(&attempt).await,
            Ok(None) => discard(path).await,
            Err(error) => {
                let recorded = match self.store.begin(Utc::now).await {
                    Ok(mut tx) => tx.attempt(id).await,
                    Err(error) => Err(error),
                };
                if matches!(recorded, Ok(None)) {
                    discard(path).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Records the intent to start a stage; none if it is not to be started any more.
    async fn open(&self, opening: &NewAttempt) -> Result<Option<AttemptRow>> {
        let mut tx = self.store.begin(Utc::now).await?;
        let Some(stage) = tx.stage(opening.stage).await? else { return Ok(None) };
        match happen(&mut tx, &stage, Event::Start, Some(opening)).await {
            Ok(_) => {}
            Err(EngineError::Refused(why)) => {
                tracing::debug!(stage = %opening.stage, why, "is not to be started any more");
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let attempt = tx.attempt(opening.id).await?;
        tx.commit().await?;
        Ok(attempt)
    }

    /// What a worker is told that works at an attempt behind those of `parents`, and the hash of the token in it.
    pub(super) fn attempt_file(
        &self,
        attempt: AttemptId,
        work: &Work,
        parents: Vec<PathBuf>,
        requeued: bool,
    ) -> std::io::Result<(AttemptFile, String)> {
        let token = secret::fresh().map_err(std::io::Error::other)?;
        let token_sha256 = secret::hash(&token);
        let file = AttemptFile {
            api_version: API_VERSION,
            attempt,
            daemon: self.layout.daemon_file(),
            token,
            parents,
            requeued,
            spec: work::stage_spec(&self.layout, work),
        };
        Ok((file, token_sha256))
    }

    /// Hands an intended attempt to the executor; it stays intended while nothing can be started.
    pub(super) async fn submit(&self, attempt: &AttemptRow) -> Result<()> {
        if !self.executor.can_start() {
            return Ok(());
        }
        let Some(work) = self.store.work(attempt.stage).await? else { return Ok(()) };
        if !attempt.folder.join(ATTEMPT_FILE).exists() {
            // Somebody removed it before it was used. Nobody else knows the token that was in it: a new one.
            let failed = |source| EngineError::File { path: attempt.folder.display().to_string(), source };
            let (file, token_sha256) =
                self.attempt_file(attempt.id, &work, Vec::new(), false).map_err(failed)?;
            let mut tx = self.store.begin(Utc::now).await?;
            tx.renew_token(attempt.id, &token_sha256).await?;
            tx.commit().await?;
            folder::create(&attempt.folder, &file).map_err(failed)?;
        }
        let kind = work.kind();
        self.caught_up.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.id);
        let order = Order {
            submission: None,
            kind,
            folder: attempt.folder.clone(),
            jobs: vec![job(attempt)],
            request: Request::default(),
            after: Vec::new(),
        };
        match self.executor.submit(&order).await {
            Ok(pid) => {
                tracing::info!(attempt = %attempt.id, stage = %attempt.stage, pid, "started a worker");
                self.happens(attempt.id, Event::Submitted).await
            }
            Err(SubmitError::Later { message, after }) => {
                tracing::warn!(attempt = %attempt.id, message, seconds = after.as_secs(), "to be started later");
                Ok(())
            }
            Err(error) => {
                let permanent = matches!(error, SubmitError::Refused { permanent: true, .. });
                let message = error.to_string();
                tracing::error!(attempt = %attempt.id, message, "could not be started");
                self.happens(attempt.id, Event::NotSubmitted { message, permanent }).await
            }
        }
    }
}
