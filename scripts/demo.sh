#!/usr/bin/env bash
# The main job, small: look-alike Cloud-S2 data, `terratorch fit` and `terratorch test`, a picture.
set -euo pipefail
config=terratorch_configs/copernicus_fm_cloud_s2.yaml
out=outputs/demo
rm -rf "$out"

echo '== 1/3 Writing look-alike Sentinel-2 scenes with clouds (synthetic, seeded)'
torchgeo-copernicus sample cloud_s2 "$out/data" --n 60 --seed 0 --size 128

echo '== 2/3 terratorch fit, WITHOUT PRETRAINED WEIGHTS (they are not downloaded for a demo):'
echo '==     the small encoder is trained from scratch, so the numbers say nothing about Copernicus-FM.'
overrides=(
  --trainer.default_root_dir "$out"
  --trainer.accelerator cpu
  --trainer.logger.init_args.save_dir "$out"
  --data.init_args.root "$out/data"
  --data.init_args.download false
  --data.init_args.batch_size 6
  --data.init_args.num_workers 0
  --data.init_args.image_size 128
  --model.init_args.model_args.backbone copernicus_fm_small
  --model.init_args.model_args.backbone_pretrained false
  --model.init_args.model_args.backbone_kernel_size 8
  --model.init_args.model_args.decoder_channels 64
  --model.init_args.freeze_backbone false
  --model.init_args.lr 3e-4
)
terratorch fit -c "$config" "${overrides[@]}" --trainer.max_epochs 8

echo '== 3/3 terratorch test'
terratorch test -c "$config" "${overrides[@]}" --ckpt_path "$out/logs/version_0/checkpoints/best.ckpt"
echo "== Done: $out/metrics.json, $out/predictions.png, $out/confusion.png"
