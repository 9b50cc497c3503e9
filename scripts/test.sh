#!/usr/bin/env bash
# The whole suite with coverage, in two processes side by side: `test.sh PYTHON [PYTEST ARGUMENTS]`.
# Each runs whole folders in the usual order, so that what a test leaves behind is the same every time.
set -uo pipefail
python=$1
shift
log=$(mktemp)
# One thread each: two would wait for each other's.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
rm -f .coverage .coverage.*
run() { # $1 name of its coverage file, then pytest's arguments
  local name=$1
  shift
  COVERAGE_FILE=.coverage.$name "$python" -m pytest --cov --cov-report= --cov-fail-under=0 "$@"
}
chosen=$(printf '%s\n' "$@" | grep -c '^tests' || true)
first=0
if [ "$chosen" -gt 0 ]; then
  run one "$@"
  second=$?
else
  apart=(pretrain ssl4eo storage conversion embed)
  run models tests/collect tests/datamodules tests/models tests/tasks \
    "${apart[@]/#/tests/datasets/}" "$@" >"$log" 2>&1 &
  models=$!
  run rest tests/datasets tests/embedding tests/terratorch tests/test_*.py \
    "${apart[@]/#/--ignore=tests/datasets/}" "$@"
  second=$?
  wait "$models"
  first=$?
  cat "$log"
fi
rm -f "$log"
# 5 says that no test was chosen, which is no failure if the other process had some.
if [ "$first" -eq 5 ] && [ "$second" -ne 5 ]; then first=0; fi
if [ "$second" -eq 5 ] && [ "$first" -ne 5 ] && [ "$chosen" -eq 0 ]; then second=0; fi
"$python" -m coverage combine -q .coverage.*
"$python" -m coverage report --skip-covered --show-missing --fail-under="${COVERAGE_FLOOR:-90}"
covered=$?
exit $((first != 0 || second != 0 || covered != 0))
