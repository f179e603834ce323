#!/bin/sh
# The whole set on a GPU and the CUDA-marked tests, in under ten minutes; run it from the repository's root:
#     sh benchmarks/speed/gpu.sh [FOLDER]
# Writes FOLDER/GPU-NAME.json and .md (default benchmarks/results/speed), the tests' outcome in the json.
# Exit codes: 0 done; 1 a test or a table failed; 2 no CUDA here.
set -u
python=${PYTHON:-python}
out=${1:-benchmarks/results/speed}
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    echo "benchmarks/speed/gpu.sh: no CUDA device that torch can use here; nothing was run" >&2
    exit 2
fi
tests=$(mktemp)
trap 'rm -f "$tests"' EXIT
failed=0
timeout 180 "$python" -m pytest -m cuda -n 0 --timeout 150 tests >"$tests" 2>&1 || failed=$?
tail -n 3 "$tests"
# pytest's 5: no test was found.
timeout 400 "$python" benchmarks/speed/run.py --device cuda --compile --rounds 3 --out "$out" \
    --tests "pytest -m cuda: exit $failed, $(tail -n 1 "$tests")" || failed=1
[ "$failed" -eq 0 ] || exit 1
