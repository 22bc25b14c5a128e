//! What the cluster says about itself.

use super::{
    Slurm,
    parse::{
        self,
        config::{Association, Config, Partition},
    },
    user,
};
use crate::domain::resources::{self, Wall};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

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
    /// The longest time limits of qualities of service, of those that have one.
    pub longest: HashMap<String, Duration>,
}

impl Cluster {
    /// The longest time limits that the user's jobs may have, as far as the cluster minds. That of a quality of service
    /// goes before an account's.
    #[must_use]
    pub fn walls(&self) -> Vec<Wall> {
        let mut walls = Vec::new();
        for association in self.associations.iter().filter(|_| self.config.limits) {
            let own: Vec<_> = association.qos.iter().map(Some).collect();
            for qos in if own.is_empty() { vec![None] } else { own } {
                let limit = qos.and_then(|qos| self.longest.get(qos).copied()).or(association.max_wall);
                walls.push(Wall {
                    account: association.account.clone(),
                    partition: association.partition.clone(),
                    qos: qos.cloned(),
                    default: association.default_qos.is_none() || association.default_qos.as_ref() == qos,
                    minutes: limit.map(resources::minutes),
                });
            }
        }
        walls
    }
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
        let (mut associations, mut longest) = (Vec::new(), HashMap::new());
        if config.accounting {
            let user = format!("user={}", user());
            let format = format!("format={}", parse::config::ASSOCIATION_FIELDS);
            // Without the database no limit is known; the queue enforces them all the same.
            if let Ok(text) = self.ask("sacctmgr", &["-n", "-P", "show", "assoc", &user, &format]).await {
                associations = parse::config::associations(&text);
            }
            let format = format!("format={}", parse::config::QOS_FIELDS);
            if let Ok(text) = self.ask("sacctmgr", &["-n", "-P", "show", "qos", &format]).await {
                longest = parse::config::longest(&text);
            }
        }
        Ok(Cluster { config, partitions, associations, longest })
    }
}
