"""Any JSON as tables."""

from hspace.report.tables import Table, tables


def texts(table: Table) -> list[tuple[str, ...]]:
    return [table.columns, *table.rows]


def test_settings_are_named_by_their_place() -> None:
    (one,) = tables({"a": {"b": {"c": 1.23456}, "d": True}, "e": [1, 2], "f": None}, "it")
    assert texts(one) == [("setting", "value"), ("a.b.c", "1.235"), ("a.d", "yes"), ("e", "1, 2"), ("f", "-")]
    assert one.title == "it"


def test_a_list_of_objects_is_a_table_with_a_dash_for_what_one_lacks() -> None:
    (one,) = tables({"rows": [{"a": 1, "b": {"c": "x"}}, {"a": 2}]}, "it")
    assert (one.title, texts(one)) == ("it: rows", [("a", "b.c"), ("1", "x"), ("2", "-")])
    assert one.numeric == (True, False)


def test_objects_of_one_kind_by_name_are_a_table() -> None:
    (one,) = tables({"by": {"x": {"n": 1}, "y": {"n": 2}}}, "it")
    assert texts(one) == [("", "n"), ("x", "1"), ("y", "2")]


def test_within_a_row_they_become_columns_and_a_list_of_several_a_table() -> None:
    row = {"m": "psnr", "means": {"a": {"v": 1}, "b": {"v": 2}}, "one": [{"p": 0.5}], "two": [{"q": 1}, {"q": 2}]}
    first, second = tables([row], "it")
    assert texts(first) == [("m", "means.a.v", "means.b.v", "one.p"), ("psnr", "1", "2", "0.5")]
    assert (second.title, texts(second)) == ("it: 0.two", [("q",), ("1",), ("2",)])


def test_a_number_for_each_of_many_things_is_one_cell() -> None:
    (one,) = tables({"values": {f"p{index}": index for index in range(40)}}, "it")
    ((name, text),) = one.rows
    assert name == "values"
    assert text.startswith("p0 0, p1 1")
    assert text.endswith("… 40 in all")
