#!/bin/sh
# Build the real kube-apiserver and etcd that the `kube` tests start (once per machine), unless
# KUBE=0. Without Go those tests are skipped; where CI=true that is a failure.
set -eu
cd "$(dirname "$0")/.."
if [ "${VAI_KUBE:-1}" = 0 ]; then
    echo "vai: KUBE=0, tests against a real kube-apiserver are left out"
    exit 0
fi
status=0
python tests/apiserver/build.py || status=$?
if [ "$status" -eq 3 ] && [ "${CI:-}" != true ]; then
    exit 0 # no Go: build.py has said so, and the tests skip themselves
fi
exit "$status"
