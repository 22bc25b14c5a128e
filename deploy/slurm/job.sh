#!/bin/bash
# {{ comment }}
#SBATCH --job-name={{ job_name | option }}
#SBATCH --comment={{ comment | option }}
#SBATCH --array={{ array }}
#SBATCH --chdir={{ root | option }}
#SBATCH --output={{ output | option }}
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
{%- if dependency %}
#SBATCH --dependency={{ dependency }}
#SBATCH --kill-on-invalid-dep=yes
{%- endif %}
{%- if requeue %}
#SBATCH --requeue
{%- else %}
#SBATCH --no-requeue
{%- endif %}
{%- if signal %}
#SBATCH --signal=B:USR1@{{ signal }}
{%- endif %}
{%- for name, value in options %}
#SBATCH --{{ name }}={{ value | option }}
{%- endfor %}
{%- for line in extra %}
#SBATCH {{ line | option }}
{%- endfor %}
# Nothing secret is in the environment, on the command line or in this file: the worker reads attempt.json.
export LC_CLAIM_WAIT=${LC_CLAIM_WAIT:-60}
{%- for line in setup %}
{{ line }}
{%- endfor %}
# The worker is the batch script from here on: signals reach it, and its exit code is the job's.
exec {{ worker | shell }} run{% for argument in worker_args %} {{ argument | shell }}{% endfor %} --attempt {{ folder | shell }}/"$SLURM_ARRAY_TASK_ID"/attempt.json
