#!/bin/sh
# Turns the settings file into a table that the relay reads.
set -eu
echo "feeder,pickup_a,delay_ms"
grep -v '^#' "$1" | while read -r feeder pickup delay; do
  echo "$feeder,$pickup,$delay"
done
