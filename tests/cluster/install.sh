#!/bin/sh
# Debian's Slurm, munge and MariaDB, if they are not there; no daemon is started.
set -eu
for program in munged mariadbd slurmdbd slurmctld slurmd sacct sbatch; do
    command -v "$program" > /dev/null || missing="${missing:-} $program"
done
[ -z "${missing:-}" ] && exit 0
command -v apt-get > /dev/null || { echo "missing:$missing, and this is no Debian" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# services are started by the tests, with a configuration of their own
RUNLEVEL=1 apt-get install -y -qq --no-install-recommends slurm-wlm slurmdbd munge mariadb-server
