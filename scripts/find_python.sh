#!/usr/bin/env bash
# Prints a working interpreter of version $1 (such as 3.12), or nothing: first the one on PATH, then
# the one pyenv holds. (A pyenv shim of a version that is not selected exists but does not run.)
set -u
version=$1
if "python$version" -c '' 2>/dev/null; then
  "python$version" -c 'import sys; print(sys.executable)'
elif command -v pyenv >/dev/null 2>&1; then
  for candidate in "$(pyenv root)/versions/$version".*/bin/python; do
    if "$candidate" -c '' 2>/dev/null; then
      echo "$candidate"
      break
    fi
  done
fi
