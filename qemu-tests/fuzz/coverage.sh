#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER: compiles this repository's crates, and only those, with the counters that
# libFuzzer steers by. Their dependencies stay those of the ordinary build.
exec "$@" --cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
