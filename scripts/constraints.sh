#!/usr/bin/env bash
# Re-resolves constraints/*.txt: plain name==version lines, one file per stack.
set -euo pipefail
uv=${UV:-uv}
resolve() { # $1 python version, $2 stack, $3 extras, then further requirements
  local python=$1 stack=$2 extras=$3
  shift 3
  {
    printf '%s\n' "torchgeo-copernicus[$extras] @ file://$PWD" uv "$@"
  } | "$uv" pip compile - --quiet --no-header --no-annotate --python-version "$python" \
    --output-file "constraints/$stack.txt"
  grep -E '^[A-Za-z0-9_.-]+==' "constraints/$stack.txt" >"constraints/$stack.tmp"
  mv "constraints/$stack.tmp" "constraints/$stack.txt"
}
resolve 3.11 py3.11 all,dev 'torchgeo==0.8.1' 'terratorch==1.2.11'
resolve 3.12 py3.12 all,dev 'torchgeo==0.9.*' 'terratorch==1.2.13'
resolve 3.12 py3.12-core dev,convert,embed 'torchgeo==0.10.*'
# The last zarr of the old API, and an xarray that knows it, for SSL4EO-S12 v1.1.
resolve 3.11 py3.11-zarr2 dev,convert 'torchgeo==0.8.1' 'zarr==2.18.*' 'xarray==2025.1.*'
