#!/usr/bin/env bash
# Label Cityscapes on a Slurm cluster: one job calibrates, an array of 32 jobs makes one shard each, at most 8 at a time,
# and a last job writes labelset.json and the card. Run it again after a node was lost or a limit hit: finished shards
# are skipped, half-finished ones continue image by image. Every job must see the same paths.
#
#   pip install 'mbps-dataset[cluster]'
#   bash builder_scripts/build_on_a_cluster.sh /data/cityscapes /data/mbps weights/cause weights/spidepth
#   mbps info /data/mbps                     # what is done, what failed, how long the rest takes
#
# Without Slurm: `--executor local --tasks 8` on one machine, `--executor ray --tasks 32` on a Ray cluster (extra [ray],
# RAY_ADDRESS set), or any other scheduler that can run `mbps build … --shard I/32` for I = 0 … 31.
set -euo pipefail
cityscapes=$1 output=$2 cause=$3 spidepth=$4

mbps build --recipe mbps --source cityscapes --data-dir "$cityscapes" --output "$output" \
    --set semantics.weights="$cause" --set depth.weights="$spidepth" \
    --set saliency.weights=facebook/dinov3-vitb16-pretrain-lvd1689m \
    --executor slurm --tasks 32 --workers 8 \
    --executor-option partition="${PARTITION:-gpu}" --executor-option time=04:00:00 \
    --executor-option gpus_per_task=1 --executor-option mem_per_cpu_gb=16
