#!/usr/bin/env bash
# A real Slurm cluster on one machine, for tests: slurmctld, several slurmd (nodes that claim
# CPUs, memory and GPUs they need not have), slurmdbd with MariaDB. Without systemd and cgroups;
# jobs really run. Tried on Debian 12 (Slurm 22.05).
#
#   test-cluster.sh install   the packages (root)
#   test-cluster.sh start     whatever isn't running; also what was killed or stopped meanwhile
#   test-cluster.sh stop      the daemons; queue and accounting stay, a later start goes on with them
#   test-cluster.sh purge     cancels all jobs, stops, deletes the folder
#   test-cluster.sh env       prints the exports that a shell needs: eval "$(test-cluster.sh env)"
#
# All of it lives in one folder; nothing is written to /etc. Clusters run side by side when folder
# and port differ. Root and ordinary users can start one; a user's cluster runs that user's jobs.
# Settings are read when daemons start (stop first), and must be given to each call alike:
#
#   LC_CLUSTER_DIR             folder, at most 80 characters          (${TMPDIR:-/tmp}/lc-cluster)
#   LC_CLUSTER_PORT            first of 11 + NODES local ports        (27817)
#   LC_CLUSTER_NODES           number of nodes, n1 and up             (4)
#   LC_CLUSTER_CPUS            CPUs that each node claims             (64)
#   LC_CLUSTER_MEM_MB          memory that each node claims           (64000)
#   LC_CLUSTER_GPUS            GPUs that each node claims             (1)
#   LC_CLUSTER_DBD             1: accounting (sacct); 0: none, starts sooner   (1)
#   LC_CLUSTER_MIN_JOB_AGE     seconds that squeue knows an ended job (300)
#   LC_CLUSTER_SLURMD_TIMEOUT  seconds of silence until a node is DOWN         (10)
#   LC_CLUSTER_KILL_WAIT       seconds from SIGTERM to SIGKILL        (2)
#   LC_CLUSTER_REQUEUE_DELAY   seconds that a requeued job waits, 5 or more    (5)
#   LC_CLUSTER_EXTRA           further lines of slurm.conf            ()
#   LC_CLUSTER_NO_INSTALL      1: start never installs packages       (0)
#
# To make trouble (RUN is the folder run/ inside LC_CLUSTER_DIR):
#
#   kill -9 $(cat RUN/slurmd-n4.pid)       a node is lost
#   kill -9 $(cat RUN/slurmctld.pid)       the controller crashes, perhaps without its last seconds
#   kill -STOP $(cat RUN/slurmctld.pid)    the controller hangs; kill -CONT, or start, lets it go on
#   kill $(cat RUN/slurmdbd.pid)           sacct fails, the rest goes on
set -euo pipefail

DIR=$(realpath -m "${LC_CLUSTER_DIR:-${TMPDIR:-/tmp}/lc-cluster}")
NODES=${LC_CLUSTER_NODES:-4}
GPUS=${LC_CLUSTER_GPUS:-1}
CPUS=${LC_CLUSTER_CPUS:-64}
MEM_MB=${LC_CLUSTER_MEM_MB:-64000}
PORT=${LC_CLUSTER_PORT:-27817}
DBD=${LC_CLUSTER_DBD:-1}
MIN_JOB_AGE=${LC_CLUSTER_MIN_JOB_AGE:-300}
SLURMD_TIMEOUT=${LC_CLUSTER_SLURMD_TIMEOUT:-10}
KILL_WAIT=${LC_CLUSTER_KILL_WAIT:-2}
REQUEUE_DELAY=${LC_CLUSTER_REQUEUE_DELAY:-5}
EXTRA=${LC_CLUSTER_EXTRA:-}
NO_INSTALL=${LC_CLUSTER_NO_INSTALL:-0}

CLUSTER=lab
ACCOUNT=lab
PORT_DBD=$((PORT + 1))
PORT_DB=$((PORT + 2))
PORT_NODE=$((PORT + 10)) # node i listens on PORT_NODE + i
CONF=$DIR/etc/slurm.conf
RUN=$DIR/run
LOG=$DIR/log
MARK=$DIR/.lc-cluster # purge deletes only a folder that has it; also the lock of start, stop, purge
MUNGE_SOCKET=$DIR/munge/socket
DB_SOCKET=$DIR/db/socket
SELF=$0

say() { printf '%s\n' "test-cluster: $*" >&2; }
die() {
    say "$*"
    exit 1
}
usage() {
    say "usage: $SELF install | start | stop | purge | env"
    exit 2
}

# --- packages -----------------------------------------------------------------------------------

packages() {
    printf '%s\n' munge slurmctld slurmd slurm-client slurm-wlm-basic-plugins
    if [ "$DBD" = 1 ]; then
        printf '%s\n' slurmdbd slurm-wlm-mysql-plugin mariadb-server-core mariadb-client-core
    fi
}

commands() {
    printf '%s\n' munged slurmctld slurmd sbatch
    if [ "$DBD" = 1 ]; then printf '%s\n' slurmdbd mariadbd mariadb mariadb-install-db; fi
}

# Prints what is missing: packages where dpkg knows them, else commands.
missing() {
    local one
    if command -v dpkg-query >/dev/null 2>&1; then
        for one in $(packages); do
            dpkg-query -W -f='${db:Status-Abbrev}' "$one" 2>/dev/null | grep -q '^ii' || printf '%s ' "$one"
        done
    else
        for one in $(commands); do command -v "$one" >/dev/null 2>&1 || printf '%s ' "$one"; done
    fi
}

install_packages() { # "start" or "install"
    local lacking rc=0 log policy=/usr/sbin/policy-rc.d made=0
    lacking=$(missing)
    lacking=${lacking% }
    [ -n "$lacking" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        die "missing: $lacking; install Slurm with slurmdbd, munge and MariaDB by this system's own means"
    fi
    if [ "$1" = start ] && [ "$NO_INSTALL" = 1 ] || [ "$(id -u)" != 0 ]; then
        die "missing packages: $lacking; install them with: sudo $SELF install"
    fi
    say "installing $lacking"
    # The packages' own services must not start.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=1
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    apt_install $lacking >"$log" 2>&1 || rc=$?
    if [ "$rc" != 0 ]; then # perhaps only the package lists are old
        rc=0
        apt-get update -q >>"$log" 2>&1 || true
        # shellcheck disable=SC2086
        apt_install $lacking >>"$log" 2>&1 || rc=$?
    fi
    [ "$made" = 0 ] || rm -f "$policy"
    if [ "$rc" != 0 ]; then
        tail -n 20 "$log" >&2
        die "apt-get install failed; its output is above and in $log"
    fi
    rm -f "$log"
}

apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; }

# --- processes ----------------------------------------------------------------------------------

# State letter of a process that has this name; nothing if there is none.
# (Where PID 1 reaps no orphans, ended daemons stay as zombies: Z.)
state_of() { # PID NAME
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    case $stat in "$1 ($2) "*) stat=${stat##*) } && printf '%s' "${stat%% *}" ;; esac
}

running() { # PID NAME
    case $(state_of "$1" "$2") in '' | Z | X) return 1 ;; esac
}

# Prints the process in the file if it runs.
pid_of() { # PIDFILE NAME
    local pid
    [ -s "$1" ] || return 1
    pid=$(tr -dc 0-9 <"$1")
    [ -n "$pid" ] && running "$pid" "$2" && printf '%s' "$pid"
}

# True if the daemon runs; one that was stopped by a signal goes on.
alive() { # PIDFILE NAME
    local pid
    pid=$(pid_of "$1" "$2") || return 1
    case $(state_of "$pid" "$2") in T) kill -CONT "$pid" ;; esac
}

wait_for() { # SECONDS WHAT COMMAND...
    local left=$(($1 * 20)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || die "$what didn't come up; see the logs in $LOG"
        sleep 0.05
    done
}

# Starts a program that puts itself into the background. It gets none of our open files: who reads
# this script's output shall see its end, and the lock shall be released.
launch() { # NAME COMMAND...
    local name=$1
    shift
    if ! "$@" </dev/null >"$LOG/$name.start.log" 2>&1 9>&-; then
        tail -n 5 "$LOG/$name.start.log" >&2
        die "$name didn't start; see the logs in $LOG"
    fi
}

terminate() { # PIDFILE NAME SECONDS
    local pid left=$(($3 * 20))
    if pid=$(pid_of "$1" "$2"); then
        kill -TERM "$pid" 2>/dev/null || true
        kill -CONT "$pid" 2>/dev/null || true
        while [ "$left" -gt 0 ] && running "$pid" "$2"; do
            sleep 0.05
            left=$((left - 1))
        done
        if running "$pid" "$2"; then
            say "$2 ($pid) doesn't end at SIGTERM, killing it"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$1"
}

# The keepers of this cluster's running jobs: those whose environment names its slurm.conf.
keepers() {
    local folder
    for folder in /proc/[0-9]*; do
        [ "$(cat "$folder/comm" 2>/dev/null)" = slurmstepd ] || continue
        if tr '\0' '\n' 2>/dev/null <"$folder/environ" | grep -qxF "SLURM_CONF=$CONF"; then
            printf '%s\n' "${folder#/proc/}"
        fi
    done
}

# The processes and all that descend from them.
with_descendants() { # PID...
    [ $# -gt 0 ] || return 0
    ps -e -o pid=,ppid= | awk -v roots="$*" '
        BEGIN { n = split(roots, r, " "); for (i = 1; i <= n; i++) mine[r[i]] = 1 }
        { parent[$1] = $2 }
        END {
            do {
                grew = 0
                for (p in parent) if (!(p in mine) && parent[p] in mine) { mine[p] = 1; grew = 1 }
            } while (grew)
            for (p in mine) print p
        }'
}

# --- configuration ------------------------------------------------------------------------------

claim_folder() {
    local found
    [ ${#DIR} -le 80 ] || die "$DIR is too long for the sockets inside; set LC_CLUSTER_DIR to at most 80 characters"
    found=$(ls -A "$DIR" 2>/dev/null || true) # before the mark is looked for: another start may just make it
    if [ -n "$found" ] && [ ! -e "$MARK" ]; then
        die "$DIR has other things in it; empty it, or set LC_CLUSTER_DIR to a folder of the cluster's own"
    fi
    lock
    mkdir -p "$DIR"/{etc,ctld,spool,munge,dev,db} "$RUN" "$LOG"
    chmod 755 "$DIR" "$DIR"/{etc,ctld,spool,munge,dev,db} "$RUN" "$LOG"
}

lock() {
    while :; do
        mkdir -p "$DIR"
        exec 9>>"$MARK"
        flock -w 120 9 || die "another $SELF works on $DIR for two minutes now; end it first"
        [ "$MARK" -ef /dev/fd/9 ] && return 0 # else a purge deleted it meanwhile
    done
}

slurm_conf() {
    local i gres=''
    [ "$GPUS" = 0 ] || gres=" Gres=gpu:a100:$GPUS"
    cat <<TEXT
ClusterName=$CLUSTER
SlurmctldHost=localhost
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
SlurmctldPort=$PORT
SlurmdPort=$PORT_NODE
AuthType=auth/munge
AuthInfo=socket=$MUNGE_SOCKET,cred_expire=$REQUEUE_DELAY
CredType=cred/munge

StateSaveLocation=$DIR/ctld
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$RUN/slurmctld.pid
SlurmdPidFile=$RUN/slurmd-%n.pid
SlurmctldLogFile=$LOG/slurmctld.log
SlurmdLogFile=$LOG/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
MailProg=/bin/true

# No cgroups, no binding, no limits taken over from who submits.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
ReturnToService=2

# Short times, so that tests need not wait, but time enough to launch many jobs at once on few cores.
SlurmctldTimeout=10
SlurmdTimeout=$SLURMD_TIMEOUT
MessageTimeout=10
TCPTimeout=2
BatchStartTimeout=60
InactiveLimit=0
KillWait=$KILL_WAIT
CompleteWait=0
MinJobAge=$MIN_JOB_AGE
OverTimeLimit=0

SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,bf_continue,bf_resolution=1,sched_interval=2,sched_min_interval=10000,batch_sched_delay=0,default_queue_depth=1000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
PriorityType=priority/multifactor
PriorityWeightPartition=1000
PriorityWeightAge=0
JobRequeue=1
MaxJobCount=20000
MaxArraySize=10001
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PreemptExemptTime=00:00:00

GresTypes=gpu
JobCompType=jobcomp/filetxt
JobCompLoc=$LOG/jobcomp.log
TEXT
    if [ "$DBD" = 1 ]; then
        cat <<TEXT
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=$PORT_DBD
AccountingStoragePass=$MUNGE_SOCKET
AccountingStoreFlags=job_comment,job_script
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
TEXT
    else
        echo AccountingStorageType=accounting_storage/none
    fi
    echo
    for ((i = 1; i <= NODES; i++)); do
        echo "NodeName=n$i NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((PORT_NODE + i)) CPUs=$CPUS Boards=1" \
            "SocketsPerBoard=1 CoresPerSocket=$CPUS ThreadsPerCore=1 RealMemory=$MEM_MB$gres State=UNKNOWN"
    done
    echo
    echo "PartitionName=DEFAULT Nodes=ALL State=UP MaxTime=7-0 DefaultTime=01:00:00 OverSubscribe=NO"
    echo "PartitionName=gpu Default=YES PriorityTier=10 PreemptMode=OFF"
    echo "PartitionName=cpu PriorityTier=10 PreemptMode=OFF"
    echo "PartitionName=preempt PriorityTier=1 PreemptMode=REQUEUE"
    printf '%s\n' "$EXTRA"
}

# CUDA_VISIBLE_DEVICES is set only for character devices: links to /dev/null will do, and the number
# in the name is the GPU's index.
gres_conf() {
    local i g files
    [ "$GPUS" != 0 ] || return 0
    files=nvidia0
    [ "$GPUS" = 1 ] || files="nvidia[0-$((GPUS - 1))]"
    for ((i = 1; i <= NODES; i++)); do
        mkdir -p "$DIR/dev/n$i"
        for ((g = 0; g < GPUS; g++)); do ln -sfn /dev/null "$DIR/dev/n$i/nvidia$g"; done
        echo "NodeName=n$i Name=gpu Type=a100 File=$DIR/dev/n$i/$files"
    done
}

slurmdbd_conf() {
    cat <<TEXT
AuthType=auth/munge
AuthInfo=socket=$MUNGE_SOCKET
DbdHost=localhost
DbdPort=$PORT_DBD
SlurmUser=$(id -un)
PidFile=$RUN/slurmdbd.pid
LogFile=$LOG/slurmdbd.log
DebugLevel=info
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$PORT_DB
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
TEXT
}

write_files() {
    slurm_conf >"$CONF.new"
    mv "$CONF.new" "$CONF"
    gres_conf >"$DIR/etc/gres.conf.new"
    mv "$DIR/etc/gres.conf.new" "$DIR/etc/gres.conf"
    if [ "$DBD" = 1 ]; then
        (umask 077 && slurmdbd_conf >"$DIR/etc/slurmdbd.conf.new")
        mv "$DIR/etc/slurmdbd.conf.new" "$DIR/etc/slurmdbd.conf"
    fi
    if [ ! -s "$DIR/munge/key" ]; then (umask 077 && head -c 128 /dev/urandom >"$DIR/munge/key"); fi
}

# --- daemons ------------------------------------------------------------------------------------

start_munged() {
    alive "$RUN/munged.pid" munged && return 0
    rm -f "$MUNGE_SOCKET" "$MUNGE_SOCKET.lock"
    # --force: a folder above that others may write to is a warning only
    launch munged munged --force --key-file="$DIR/munge/key" --socket="$MUNGE_SOCKET" --pid-file="$RUN/munged.pid" \
        --log-file="$LOG/munged.log" --seed-file="$DIR/munge/seed" --num-threads=4
    wait_for 10 munged munge -n --socket="$MUNGE_SOCKET"
}

sql() { mariadb --no-defaults --protocol=socket -S "$DB_SOCKET" -u root "$@"; }

start_mariadbd() {
    alive "$RUN/mariadbd.pid" mariadbd && return 0
    if [ ! -e "$DIR/db/ready" ]; then
        rm -rf "$DIR/db/data"
        launch mariadb-install-db mariadb-install-db --no-defaults --datadir="$DIR/db/data" --user="$(id -un)" \
            --auth-root-authentication-method=normal --skip-test-db
        : >"$DIR/db/ready"
    fi
    setsid mariadbd --no-defaults --user="$(id -un)" --datadir="$DIR/db/data" --socket="$DB_SOCKET" \
        --pid-file="$RUN/mariadbd.pid" --bind-address=127.0.0.1 --port="$PORT_DB" --skip-name-resolve \
        --innodb-buffer-pool-size=64M --innodb-log-file-size=32M --innodb-lock-wait-timeout=900 \
        --innodb-flush-log-at-trx-commit=2 --max-allowed-packet=16M --skip-log-bin --performance-schema=OFF \
        </dev/null >"$LOG/mariadbd.log" 2>&1 9>&- &
    wait_for 60 mariadbd sql -e 'select 1'
    sql -e "create database if not exists slurm_acct;
            create user if not exists 'slurm'@'127.0.0.1' identified by 'slurm';
            grant all on slurm_acct.* to 'slurm'@'127.0.0.1';"
}

start_slurmdbd() {
    alive "$RUN/slurmdbd.pid" slurmdbd || launch slurmdbd slurmdbd # its file lies beside slurm.conf
    wait_for 60 slurmdbd sacctmgr -n show cluster
    [ -z "$(sacctmgr -nP show user "$(id -un)")" ] || return 0
    if [ -z "$(sacctmgr -nP show cluster "$CLUSTER")" ]; then sacctmgr -i add cluster "$CLUSTER" >/dev/null; fi
    if [ -z "$(sacctmgr -nP show account "$ACCOUNT")" ]; then
        sacctmgr -i add account "$ACCOUNT" Description="$ACCOUNT" Organization="$ACCOUNT" >/dev/null
    fi
    sacctmgr -i add user "$(id -un)" Account="$ACCOUNT" DefaultAccount="$ACCOUNT" >/dev/null
}

start_slurmctld() {
    alive "$RUN/slurmctld.pid" slurmctld || launch slurmctld slurmctld -f "$CONF"
    wait_for 30 slurmctld controller_answers
}
controller_answers() { scontrol ping | grep -q 'is UP'; }

start_slurmds() {
    local i
    for ((i = 1; i <= NODES; i++)); do
        alive "$RUN/slurmd-n$i.pid" slurmd && continue
        mkdir -p "$DIR/spool/n$i"
        launch "slurmd-n$i" slurmd -N "n$i" -f "$CONF"
    done
    wait_for 60 "one of $NODES nodes" nodes_answer
}
nodes_answer() {
    [ "$(sinfo -h -N -o '%N %T' | sort -u |
        grep -cE ' (idle|mixed|allocated|completing|draining|drained)$')" -ge "$NODES" ]
}

# --- commands -----------------------------------------------------------------------------------

start() {
    local began
    install_packages start
    began=$(date +%s%N)
    claim_folder
    write_files
    start_munged
    if [ "$DBD" = 1 ]; then
        start_mariadbd
        start_slurmdbd
    fi
    start_slurmctld
    start_slurmds
    say "up after $((($(date +%s%N) - began) / 1000000)) ms, nodes: $NODES, partitions: $(sinfo -h -o %R | sort -u | paste -sd ,)"
    say "in each shell: eval \"\$($SELF env)\""
}

cancel_all() {
    local _
    pid_of "$RUN/slurmctld.pid" slurmctld >/dev/null || return 0
    alive "$RUN/slurmctld.pid" slurmctld
    squeue -h -o %A 2>/dev/null | sort -un | xargs -r -n 500 scancel 2>/dev/null || true
    for _ in {1..100}; do
        [ -n "$(squeue -h -t R,CG,S 2>/dev/null)" ] || break
        sleep 0.1
    done
}

stop() { # 1: with all jobs
    local file rest
    if [ ! -e "$MARK" ]; then
        say "no cluster in $DIR"
        return 0
    fi
    lock
    [ "$1" = 0 ] || cancel_all
    for file in "$RUN"/slurmd-*.pid; do
        [ ! -e "$file" ] || terminate "$file" slurmd 10 & # all at once: each takes its time
    done
    wait
    terminate "$RUN/slurmctld.pid" slurmctld 20
    terminate "$RUN/slurmdbd.pid" slurmdbd 20
    terminate "$RUN/mariadbd.pid" mariadbd 30
    terminate "$RUN/munged.pid" munged 5
    rest=$(keepers | paste -sd ' ')
    if [ -n "$rest" ] && [ "$1" = 1 ]; then
        # shellcheck disable=SC2046,SC2086 # lists of words
        kill -KILL $(with_descendants $rest) 2>/dev/null || true
    elif [ -n "$rest" ]; then
        say "jobs go on without their nodes' daemons, and the next start finds them again (slurmstepd $rest)"
    fi
    say stopped
}

purge() {
    stop 1
    [ ! -e "$MARK" ] || rm -rf "$DIR"
}

[ $# = 1 ] || usage
export SLURM_CONF=$CONF PATH=$PATH:/usr/sbin:/sbin
unset SLURM_CLUSTERS SLURM_JWT
case $1 in
    install) install_packages install ;;
    start) start ;;
    stop) stop 0 ;;
    purge) purge ;;
    env)
        printf 'export LC_CLUSTER_DIR=%q\n' "$DIR"
        printf 'export SLURM_CONF=%q\n' "$CONF"
        printf 'export PATH=%s\n' "\"\$PATH:/usr/sbin:/sbin\""
        ;;
    *) usage ;;
esac
