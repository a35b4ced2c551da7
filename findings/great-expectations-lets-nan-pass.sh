#!/usr/bin/env bash
# A column of NaN meets the bounds that Great Expectations sets on its values, and fails those on its maximum.
#
# Guess: a metric that is NaN does not lie between 0 and 10, so ExpectColumnValuesToBeBetween fails, and agrees with
#   ExpectColumnMaxToBeBetween on a table of one row.
# Behaviour: NaN counts as a missing value, and missing values are left out. The expectation on values succeeds though
#   no value was compared; the one on the maximum fails. A diverged run passes the first gate.
# Version: great-expectations 1.24.1, pandas 3.1.1
# Documented: in parts. The page on expect_column_values_to_not_be_null says that np.nan is null in pandas; the page on
#   expect_column_values_to_be_between says nothing of nulls, nor of a column without any value.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
packages=(great-expectations==1.24.1 pandas==3.1.1 numpy==2.4.6)
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
  "$folder/venv/bin/python" -m pip install --quiet "${packages[@]}"
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH" GX_ANALYTICS_ENABLED=false
python - <<'PYTHON'
import great_expectations as gx
import pandas as pd
from great_expectations import expectations

context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
asset = context.data_sources.add_pandas("memory").add_dataframe_asset("metrics")
batches = asset.add_batch_definition_whole_dataframe("whole")
kinds = (expectations.ExpectColumnValuesToBeBetween, expectations.ExpectColumnMaxToBeBetween)


def verdicts(value):
    """Whether a table of one row with this FID meets both expectations."""
    batch = batches.get_batch({"dataframe": pd.DataFrame({"fid": [value]})})
    return [batch.validate(kind(column="fid", min_value=0, max_value=10)).success for kind in kinds]


print("great-expectations", gx.__version__, "pandas", pd.__version__)
seen = {name: verdicts(float(name)) for name in ("5", "50", "nan")}
print("guess: 5 meets both expectations, on values and on their maximum; 50 and nan meet none")
print("seen: ", "; ".join(f"{name}: {values} on values, {maximum} on the maximum" for name, (values, maximum) in seen.items()))
raise SystemExit(0 if seen == {"5": [True, True], "50": [False, False], "nan": [True, False]} else "the surprise is gone")
PYTHON
