//! Plans a study: records its runs and their stages, as far as they are new.

use super::{Engine, EngineError, Result, apply::settle, person, remove};
use crate::{
    domain::{
        batch, dag, grid, identity,
        layout::{quoted, run_name},
        queue::{self, Earlier},
        resources,
        work::Settings,
    },
    store::{Queueable, Terms, Tx},
};
use chrono::Utc;
use protocol::{
    ids::{RunId, StageId},
    run::RunConfig,
    stage::StageKind,
    study::{AnalysisSpec, StudySpec},
    target::Target,
    view::{PlannedArray, PlannedRun, StudyPlan},
};
use std::collections::{BTreeSet, HashMap};

/// What a plan adds up to while it is made.
#[derive(Default)]
struct Count {
    new: BTreeSet<StageId>,
    existing_stages: u64,
    prepared: HashMap<String, StageId>,
    to_settle: Vec<StageId>,
    /// Runs whose variances are there without the covariance that is asked for, each with a checkpoint and its data.
    without_covariance: Vec<(String, u32, String)>,
}

impl Engine {
    /// Records a study, or extends the study of this name. Runs that the root knows already are not
    /// made again, whatever study they came from. With `dry_run`, only says what would be done.
    ///
    /// # Errors
    /// When the study is not valid, contradicts the one of this name, or the record can't be used.
    pub async fn plan(&self, spec: StudySpec, dry_run: bool) -> Result<StudyPlan> {
        let configs = grid::expand(&spec).map_err(|invalid| EngineError::Invalid(invalid.0))?;
        let settings = Settings {
            collection: spec.collection.clone(),
            resources: spec.resources.clone(),
            keep_checkpoints: spec.training.keep_checkpoints,
        };
        self.check_cluster(&configs, &settings).await?;
        // The cluster may take its time to answer; the record is not held meanwhile.
        let cluster = if dry_run { self.cluster().await } else { None };
        let mut tx = self.store.begin(Utc::now).await?;
        if tx.import_hash(&spec.name).await?.is_some() {
            return Err(EngineError::Conflict(format!(
                "name: {} holds imported results; choose another name",
                spec.name
            )));
        }
        let study = tx.save_study(&spec).await?;
        let (mut count, mut runs) = (Count::default(), Vec::with_capacity(configs.len()));
        let mut asked_anew = Vec::new();
        for config in &configs {
            let (planned, run) =
                self.plan_run(&mut tx, &spec.name, study, config, &settings, &mut count).await?;
            if tx.hold_run(study, run).await? && !planned.new {
                asked_anew.push(run);
            }
            runs.push(planned);
        }
        let notes: Vec<_> = self.without_covariance(&count.without_covariance).into_iter().collect();
        if !notes.is_empty() {
            // What a study shows must not claim what its files lack.
            let mut held = spec.clone();
            held.collection.covariance = false;
            tx.save_study(&held).await?;
        }
        settle(&mut tx, std::mem::take(&mut count.to_settle)).await?;
        // Asking for a run in a new study is asking to try again what failed or was cancelled before.
        let mut again = BTreeSet::new();
        for run in asked_anew {
            again.extend(tx.in_scope(&Target::Run(run)).await?.unwrap_or_default());
        }
        if !again.is_empty() || runs.iter().any(|run| run.new) {
            again.extend(count.prepared.values().copied());
        }
        let retried = person::retry_all(&mut tx, again).await?;
        // What is new was skipped for a moment only, and other studies have stages on the same data.
        let study = Target::Study(spec.name.clone());
        let own = if retried.is_empty() { None } else { tx.in_scope(&study).await? }.unwrap_or_default();
        let is_retried = |stage: &&StageId| retried.contains(stage) && !count.new.contains(stage);
        let retried_stages = own.iter().filter(is_retried).count() as u64;
        let plan = StudyPlan {
            name: spec.name.clone(),
            created: !dry_run,
            runs,
            new_stages: count.new.len() as u64,
            existing_stages: count.existing_stages,
            retried_stages,
            notes,
            arrays: match &cluster {
                Some((terms, most)) => self.arrays(&mut tx, &spec.name, terms, *most).await?,
                None => Vec::new(),
            },
        };
        if !dry_run {
            self.remember()?;
            tx.commit().await?;
            self.make_stale(&plan.name);
            self.wake.notify_one();
        }
        Ok(plan)
    }

    /// What the cluster says about jobs, and its largest array; none without a queue.
    async fn cluster(&self) -> Option<(Terms<'_>, u32)> {
        if !self.executor.capabilities().queue {
            return None;
        }
        let most = match self.executor.room(0).await.array {
            // It can't be asked now, or nothing may be handed over: Slurm's default.
            0 => 1000,
            most => most,
        };
        Some((self.terms().await, most))
    }

    /// The job arrays that a study's open stages would be handed over as, if nothing were in the way.
    async fn arrays(
        &self,
        tx: &mut Tx,
        study: &str,
        terms: &Terms<'_>,
        most: u32,
    ) -> Result<Vec<PlannedArray>> {
        let own: BTreeSet<_> =
            tx.in_scope(&Target::Study(study.to_owned())).await?.unwrap_or_default().into_iter().collect();
        let Queueable { mut candidates, placed } = tx.queueable(terms, usize::MAX).await?;
        candidates.retain(|candidate| own.contains(&candidate.stage));
        let batches = batch::batches(candidates, &placed, most);
        let mut arrays = Vec::with_capacity(batches.len());
        for batch in batches {
            let members: Vec<_> = batch.members.keys().copied().collect();
            let runs = batch.request.runs();
            let jobs: BTreeSet<_> = members.iter().map(|&member| queue::array_task(member, runs)).collect();
            // Ids are known once the arrays before are in the queue: their positions stand for them.
            let after = batch.after.iter().map(|after| match after.array {
                Earlier::New(position) => (position as u64 + 1, after.how),
                Earlier::Known(_) => (0, after.how),
            });
            let order = self.preview(batch.kind, batch.request.clone(), &members, after.collect());
            arrays.push(PlannedArray {
                kind: batch.kind,
                checkpoint: batch.checkpoint,
                tasks: u32::try_from(jobs.len()).unwrap_or(u32::MAX),
                minutes: batch.request.minutes,
                gpus: resources::gpus(&batch.request),
                script: self.executor.script(&order).map_err(|why| EngineError::Invalid(vec![why]))?,
            });
        }
        Ok(arrays)
    }

    /// What the cluster does not have is said before anything is recorded.
    async fn check_cluster(&self, configs: &[RunConfig], settings: &Settings) -> Result<()> {
        let rules = self.executor.rules().iter().chain(&settings.resources.rules);
        let architectures = configs.iter().map(|config| (config.layers, config.width));
        let missing = self.executor.missing(&resources::requests(rules, architectures)).await;
        if missing.is_empty() { Ok(()) } else { Err(EngineError::Invalid(missing)) }
    }

    async fn plan_run(
        &self,
        tx: &mut Tx,
        study_name: &str,
        study: i64,
        config: &RunConfig,
        settings: &Settings,
        count: &mut Count,
    ) -> Result<(PlannedRun, RunId)> {
        let hash = identity::run_hash(config).map_err(crate::store::StoreError::from)?;
        let data_hash = identity::data_hash(&config.data).map_err(crate::store::StoreError::from)?;
        let identifier = config.identifier().to_string();
        if let Some(held) = tx.hash_in_study(study, &identifier).await?.filter(|held| *held != hash) {
            let unlike = self.differences(tx, &held, config).await?;
            return Err(EngineError::Conflict(format!(
                "name: study {study_name} has a run {identifier} with other settings already ({}); {}",
                unlike.join("; "),
                self.way_out(tx, study_name, &unlike, config).await?
            )));
        }
        let allowed = settings.resources.attempts;
        let planned_stages = dag::stages(config);
        let prepare = match count.prepared.get(&data_hash) {
            Some(&stage) => stage,
            None => {
                let (stage, new) = tx.prepare_stage(&config.data, &data_hash, allowed).await?;
                if new {
                    count.new.insert(stage);
                } else {
                    count.existing_stages += 1;
                }
                count.to_settle.push(stage);
                count.prepared.insert(data_hash.clone(), stage);
                stage
            }
        };
        let known = tx.run_by_hash(&hash).await?;
        if let Some(run) = known {
            count.existing_stages += planned_stages.len() as u64 - 1;
            let mut settings = settings.clone();
            if let Some((checkpoint, collected)) = tx.collected(run.id).await? {
                if settings.collection.covariance && !collected.covariance {
                    count.without_covariance.push((run.name.clone(), checkpoint, data_hash));
                }
                (settings.collection.covariance, settings.collection.one_pass) =
                    (collected.covariance, collected.one_pass);
            }
            tx.set_settings(run.id, &settings).await?;
            return Ok((PlannedRun { identifier, name: run.name, hash, new: false }, run.id));
        }
        let taken = tx.name_taken(&identifier).await?;
        let name = run_name(&identifier, study_name, taken);
        let run = tx.insert_run(&name, &hash, &data_hash, config, settings).await?;
        let mut ids = vec![prepare];
        for stage in &planned_stages[1..] {
            let parents: Vec<_> = stage.parents.iter().map(|&position| ids[position]).collect();
            let id = tx.insert_stage(run, stage.kind, stage.checkpoint, allowed, &parents).await?;
            ids.push(id);
            count.new.insert(id);
            // What comes after it waits for a stage that is new as well; if it is skipped, so are they.
            if stage.kind == StageKind::Train {
                count.to_settle.push(id);
            }
        }
        Ok((PlannedRun { identifier, name, hash, new: true }, run))
    }

    /// In which settings the run of a hash differs from what is asked for.
    async fn differences(&self, tx: &mut Tx, held: &str, asked: &RunConfig) -> Result<Vec<String>> {
        let held = match tx.run_by_hash(held).await? {
            Some(run) => self.store.compared(run.id).await?,
            None => None,
        };
        let unlike = held.map_or(Ok(Vec::new()), |held| identity::differences(&held.config, asked));
        Ok(unlike.map_err(crate::store::StoreError::from)?)
    }

    /// What to do where a name is taken by other settings.
    async fn way_out(
        &self,
        tx: &mut Tx,
        study: &str,
        unlike: &[String],
        asked: &RunConfig,
    ) -> Result<String> {
        if unlike.iter().all(|setting| setting.starts_with("analysis.")) {
            return Ok(format!(
                "choose another name, which trains again, or measure what is there: {}",
                self.analyze_command(asked)
            ));
        }
        // Where the plan has added runs already, they count as open, and the remedy is left out.
        let held = tx.holding(study).await?;
        Ok(if held.is_some_and(|held| remove::in_the_way(study, &held).is_none()) {
            format!(
                "choose another name, or free this one, of which nothing was computed: lcctl remove {study}"
            )
        } else {
            "choose another name".to_owned()
        })
    }

    /// What to say where variances are there without the covariance that is asked for: they are not collected again.
    fn without_covariance(&self, runs: &[(String, u32, String)]) -> Option<String> {
        let (run, checkpoint, data) = runs.first()?;
        let (of, each) = match runs.len() {
            1 => ("1 run".to_owned(), ""),
            n => (format!("{n} runs"), " for each of them, as for the first"),
        };
        Some(format!(
            "the variances of {of} were collected without covariance and stay as they are; it is added by hand{each}: \
             lc-worker collect --stage vars --covariance --model {} --checkpoint {checkpoint} --data {} --stats {}",
            quoted(&self.layout.model(run)),
            quoted(&self.layout.dataset(data)),
            quoted(&self.layout.stats())
        ))
    }

    /// What measures by hand what the root has statistics of.
    fn analyze_command(&self, asked: &RunConfig) -> String {
        let AnalysisSpec { measures, min_per_class, max_per_class } = &asked.analysis;
        let least = match min_per_class {
            1 => String::new(),
            least => format!(" --min-per-class {least}"),
        };
        let most = max_per_class.map(|most| format!(" --max-per-class {most}")).unwrap_or_default();
        format!(
            "lc-worker analyze --stats {} --models {} --measures {}{least}{most} --out FILE.csv",
            quoted(&self.layout.stats()),
            quoted(&self.layout.models()),
            measures.join(",")
        )
    }
}
