#!/usr/bin/env bash
# Train on a Slurm cluster: tools/slurm_train.sh PARTITION JOB CONFIG WORK_DIR [options of tools/train.py]
# GPUS (8), GPUS_PER_NODE (8 or GPUS if fewer), CPUS_PER_TASK (4) and SRUN_ARGS (more options of srun) are
# taken from the environment.
set -euo pipefail
if [[ $# -lt 4 ]]; then
    echo "usage: [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=4] [SRUN_ARGS=...] \\" >&2
    echo "       $0 PARTITION JOB CONFIG WORK_DIR [options of tools/train.py]" >&2
    exit 2
fi
partition=$1
job=$2
config=$3
work_dir=$4
shift 4
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
# One task per GPU; SRUN_ARGS is split into words on purpose.
# shellcheck disable=SC2086
exec srun --partition "$partition" --job-name "$job" --gres "gpu:$gpus_per_node" \
    --ntasks "$gpus" --ntasks-per-node "$gpus_per_node" --cpus-per-task "${CPUS_PER_TASK:-4}" \
    --kill-on-bad-exit 1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$config" --work-dir "$work_dir" --launcher slurm "$@"
