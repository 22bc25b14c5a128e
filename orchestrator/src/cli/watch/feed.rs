//! News of a study, across restarts of the daemon.

use crate::{
    cli::{connect, failure::Failure},
    client::{Changes, Client, FollowError},
};
use protocol::{
    ids::ChangeId,
    view::{Change, ChangeBody, StudyDetail},
};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Between two looks for a daemon that is away.
const PAUSE: Duration = Duration::from_millis(500);
/// A snapshot is taken at least this often, so that whatever goes missing is missed for so long only.
const REFRESH: Duration = Duration::from_secs(15);

/// One piece of news.
#[derive(Debug)]
pub(super) enum News {
    /// The study as it is.
    Snapshot(Box<StudyDetail>),
    /// Something changed.
    Change(Change),
    /// The daemon is away; told once, then the feed waits for it.
    Away,
}

enum Link {
    Up(Client, Changes),
    Down { told: bool },
}

/// News of one study.
pub(super) struct Feed {
    root: PathBuf,
    study: String,
    link: Link,
    last: Option<ChangeId>,
    refreshed: Instant,
    wanted: bool,
}

impl Feed {
    /// Follows `study` from a first snapshot on.
    ///
    /// # Errors
    /// When there is no such study, or the daemon does not answer.
    pub(super) async fn open(
        client: Client,
        root: PathBuf,
        study: &str,
    ) -> Result<(Self, StudyDetail), Failure> {
        // First the stream, then the snapshot: what changes in between comes twice, not never.
        let changes = client.changes(study, None).await?;
        let detail = client.study(study).await?;
        let link = Link::Up(client, changes);
        let feed = Self {
            root,
            study: study.to_owned(),
            link,
            last: None,
            refreshed: Instant::now(),
            wanted: false,
        };
        Ok((feed, detail))
    }

    /// Asks for a snapshot as the next news.
    pub(super) const fn refresh(&mut self) {
        self.wanted = true;
    }

    /// The connected daemon, if it is not away.
    pub(super) const fn client(&self) -> Option<&Client> {
        match &self.link {
            Link::Up(client, _) => Some(client),
            Link::Down { .. } => None,
        }
    }

    /// Waits for news.
    ///
    /// # Errors
    /// When the study is gone or the daemon speaks another language; never because it is away.
    pub(super) async fn next(&mut self) -> Result<News, Failure> {
        loop {
            match &mut self.link {
                Link::Up(client, changes) => {
                    if self.wanted || self.refreshed.elapsed() > REFRESH {
                        let client = client.clone();
                        if let Some(news) = self.snapshot(&client).await? {
                            return Ok(news);
                        }
                        continue;
                    }
                    let left = REFRESH.saturating_sub(self.refreshed.elapsed());
                    match tokio::time::timeout(left, changes.next()).await {
                        Err(_due) => self.wanted = true,
                        Ok(Ok(change)) => {
                            self.last = Some(change.id);
                            self.wanted |= matches!(change.body, ChangeBody::Study);
                            return Ok(News::Change(change));
                        }
                        Ok(Err(FollowError::Ended)) => self.link = Link::Down { told: false },
                        Ok(Err(error @ FollowError::Unexpected(_))) => {
                            return Err(Failure::Failed(error.to_string()));
                        }
                    }
                }
                Link::Down { told } => {
                    let told = std::mem::replace(told, true);
                    if self.reconnect().await {
                        self.wanted = true;
                    } else if told {
                        tokio::time::sleep(PAUSE).await;
                    } else {
                        return Ok(News::Away);
                    }
                }
            }
        }
    }

    async fn snapshot(&mut self, client: &Client) -> Result<Option<News>, Failure> {
        match client.study(&self.study).await {
            Ok(detail) => {
                self.wanted = false;
                self.refreshed = Instant::now();
                Ok(Some(News::Snapshot(Box::new(detail))))
            }
            Err(error) if error.status().is_some() => Err(error.into()),
            Err(_gone) => {
                self.link = Link::Down { told: false };
                Ok(None)
            }
        }
    }

    /// Looks for the daemon where it says that it is now.
    async fn reconnect(&mut self) -> bool {
        let Some(client) = connect::running(&self.root).await else { return false };
        match client.changes(&self.study, self.last).await {
            Ok(changes) => {
                self.link = Link::Up(client, changes);
                true
            }
            Err(_) => false,
        }
    }
}
