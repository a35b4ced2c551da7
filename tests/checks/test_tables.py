import pandas as pd
import pandera.pandas as pa

from rectok.checks.tables import fits

SCHEMA = pa.DataFrameSchema({"share": pa.Column(float, pa.Check.in_range(0, 1)), "key": pa.Column(str, unique=True)})


def test_a_good_table_fits() -> None:
    assert fits("schema", pd.DataFrame({"share": [0.5], "key": ["a"]}), SCHEMA).passed


def test_the_message_names_columns_rows_and_values_and_stays_short() -> None:
    table = pd.DataFrame({"share": [2.0, 0.5, *[-1.0] * 7]})
    check = fits("schema", table, SCHEMA)
    assert not check.passed
    assert "column key is missing" in check.message
    assert "share in row 0 is 2.0, which breaks in_range(0, 1)" in check.message
    assert check.message.endswith(" and 4 more")


def test_a_repeated_key_is_named() -> None:
    check = fits("schema", pd.DataFrame({"share": [0.0, 1.0], "key": ["a", "a"]}), SCHEMA)
    assert "key in row 1 is 'a'" in check.message
