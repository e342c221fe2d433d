#!/usr/bin/env bash
# Train with several GPUs of this machine: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# PORT chooses the port at which the processes meet (29500).
set -euo pipefail
if [[ $# -lt 2 ]]; then
    echo "usage: [PORT=29500] $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
config=$1
gpus=$2
shift 2
exec torchrun --nnodes 1 --nproc_per_node "$gpus" --master_port "${PORT:-29500}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
