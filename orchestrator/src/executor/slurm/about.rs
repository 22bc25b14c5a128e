//! What the cluster says about itself.

use super::{
    Slurm,
    parse::{
        self,
        config::{Association, Config, Partition},
    },
    user,
};
use std::time::{Duration, Instant};

/// How long what the cluster says about itself is believed.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// How old an answer may be before a study is refused because of it.
pub(super) const JUST_NOW: Duration = Duration::from_secs(60);

/// What the cluster says about itself.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its settings.
    pub config: Config,
    /// Its partitions.
    pub partitions: Vec<Partition>,
    /// What this user may do, where there is accounting.
    pub associations: Vec<Association>,
}

impl Slurm {
    /// What the cluster says about itself, asked anew once an hour, and after a tick if it did not answer.
    ///
    /// # Errors
    /// When it can't be asked: one line.
    pub async fn describe(&self) -> Result<Cluster, String> {
        self.describe_within(KNOWN_FOR).await
    }

    /// The same, asked anew where the answer is older than this.
    pub(super) async fn describe_within(&self, age: Duration) -> Result<Cluster, String> {
        // One asks, and others wait for what it hears; whoever wants to know anything else does not.
        let _asking = self.asking.lock().await;
        {
            let memory = self.memory.lock().await;
            match (&memory.cluster, &memory.silent) {
                (Some((at, cluster)), _) if at.elapsed() < age => return Ok(cluster.clone()),
                (_, Some((at, why))) if at.elapsed() < Duration::from_secs(self.profile.tick_seconds) => {
                    return Err(why.clone());
                }
                _ => {}
            }
        }
        let described = self.ask_about_itself().await;
        let mut memory = self.memory.lock().await;
        match &described {
            Ok(cluster) => memory.cluster = Some((Instant::now(), cluster.clone())),
            Err(why) => memory.silent = Some((Instant::now(), why.clone())),
        }
        described
    }

    async fn ask_about_itself(&self) -> Result<Cluster, String> {
        let config = self.ask("scontrol", &["show", "config"]).await?;
        let config = Config::parse(&config).ok_or("scontrol show config: names no cluster")?;
        let partitions = self.ask("sinfo", &["-a", "-h", "-o", parse::config::SINFO_FORMAT]).await?;
        let partitions = parse::config::partitions(&partitions);
        let mut associations = Vec::new();
        if config.accounting {
            let user = format!("user={}", user());
            let format = format!("format={}", parse::config::ASSOCIATION_FIELDS);
            // Without the database no limit is known; the queue enforces them all the same.
            if let Ok(text) = self.ask("sacctmgr", &["-n", "-P", "show", "assoc", &user, &format]).await {
                associations = parse::config::associations(&text);
            }
        }
        Ok(Cluster { config, partitions, associations })
    }
}
