#!/bin/sh
# Checks each line of the table and writes JUnit XML.
set -eu
table=$1 report=$2
mkdir -p "$(dirname "$report")"
failures=0 cases=''
for line in $(tail -n +2 "$table"); do
  feeder=${line%%,*} rest=${line#*,}
  pickup=${rest%%,*} delay=${rest#*,}
  if [ "$pickup" -gt 0 ] && [ "$delay" -le 200 ]; then
    cases="$cases<testcase classname=\"table\" name=\"$feeder\" time=\"0.001\"/>"
  else
    failures=$((failures + 1))
    cases="$cases<testcase classname=\"table\" name=\"$feeder\"><failure message=\"out of range: $line\"/></testcase>"
  fi
done
printf '<testsuite name="table" failures="%s">%s</testsuite>\n' "$failures" "$cases" > "$report"
exit "$failures"
