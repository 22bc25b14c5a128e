#!/bin/bash
# The daemon itself in a small job that renews itself: `sbatch deploy/slurm/daemon.sh`, once.
#
# Each job queues its successor before it starts, and that one may start only when this one has ended (singleton: one
# job of this name and user at a time). Workers and chains go on in between. `scancel --name=lc-daemon` ends it.
# Give the partition and limits that your site wants for long, small jobs; LC_ROOT and LC_PROFILE come from your
# environment, lcctl from PATH or LCCTL=/shared/bin/lcctl. Until the daemon runs, use `lcctl --no-start`: a daemon that a
# command starts on the login node would keep this one out. Where LC_ROOT is on NFS, Lustre and the like, the daemon must
# always run on the same node: add a line #SBATCH --nodelist=NODE below.
#SBATCH --job-name=lc-daemon
#SBATCH --dependency=singleton
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=500M
#SBATCH --time=7-00:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --no-requeue
#SBATCH --output=lc-daemon-%j.log
set -euo pipefail

: "${LC_ROOT:?say where the studies lie: export LC_ROOT=/shared/folder before sbatch}"
: "${LC_PROFILE:?name the cluster profile: export LC_PROFILE=/shared/my-cluster.toml before sbatch}"
script=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=//p')
# With what this job was given; and not before a minute has passed, so that a daemon that can't start does not fill
# the queue.
given=(--begin=now+60)
[ -z "${SLURM_JOB_PARTITION:-}" ] || given+=(--partition="$SLURM_JOB_PARTITION")
[ -z "${SLURM_JOB_ACCOUNT:-}" ] || given+=(--account="$SLURM_JOB_ACCOUNT")
[ -z "${SLURM_JOB_QOS:-}" ] || given+=(--qos="$SLURM_JOB_QOS")
read -r memory limit < <(squeue --noheader --job "$SLURM_JOB_ID" --format '%m %l')
sbatch "${given[@]}" --mem="$memory" --time="$limit" "$script"

# At the end of its time the daemon gets SIGTERM and stops in an orderly way; its successor goes on from the record.
exec "${LCCTL:-lcctl}" serve --executor slurm
