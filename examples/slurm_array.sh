#!/bin/bash
# A benchmark as a Slurm array: every job computes its part into one store, a last job writes the tables.
#
#   job=$(sbatch --parsable --array=1-8 examples/slurm_array.sh registry.toml full)
#   sbatch --dependency=afterany:$job examples/slurm_array.sh registry.toml full
#
# MAGDR_CACHE names the store, a folder that all machines see. Whatever was killed: submit all of it again.
#SBATCH --job-name=magdr
#SBATCH --cpus-per-task=1
#SBATCH --time=08:00:00
set -euo pipefail
registry=$1
profile=${2:-quick}
# One: with more, a probe decides between one and all, and sums over several threads differ in the last digits.
export OMP_NUM_THREADS=1
part=()
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
    part=(--shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT")
fi
exec magdr bench "$registry" --profile "$profile" --cache "${MAGDR_CACHE:-runs/cache}" "${part[@]}"
