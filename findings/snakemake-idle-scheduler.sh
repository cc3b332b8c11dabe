#!/usr/bin/env bash
# Question: Snakemake runs jobs on one core, all but one have ended, and more wait. How often does its scheduler look at
#   them while nothing can start?
# Likely guess: when a job ends. Or once a second, since the default limit of jobs (--max-jobs-per-timespan 100/1s) has to
#   be looked at again.
# What is so: about once a second for each job that has ended so far. Each look sets a timer of a second that leads to
#   the next look, and each job that ends starts a chain of its own; no chain ends. A look asks the file system for the
#   inputs of all jobs that are ready, and resets their resources.
# Versions: snakemake 9.27.1, Python 3.11.
# Why it matters: a workflow with hundreds of short jobs and long ones at its end has a driver that takes a good part of a
#   core from these. Without the limit (the attribute max_jobs_per_timespan set to None in the API; the command line has
#   no such value) the scheduler looks when a job starts or ends.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
cat > Snakefile <<'END'
rule all:
    input: expand("early/{n}", n=range(40)), "slow", expand("late/{n}", n=range(5))
rule early:
    output: touch("early/{n}")
rule slow:
    input: expand("early/{n}", n=range(40))
    output: touch("slow")
    priority: 10
    shell: "sleep 20"
rule late:
    input: expand("early/{n}", n=range(40))
    output: touch("late/{n}")
END
"$folder/venv/bin/snakemake" --cores 1 --verbose > log 2>&1
# between the start of the slow job and its end
looks=$(awk '/^rule slow:|^localrule slow:/ {on = 1} on && /Ready jobs: / {count++} on && /Finished jobid.*Rule: slow/ {exit} END {print count + 0}' log)
echo "looks at the waiting jobs in the 20 seconds of one job, after 40 that had ended: $looks"
# once a second would be 20
if [ "$looks" -lt 60 ]; then
  echo "the scheduler is quieter now"
  exit 1
fi
