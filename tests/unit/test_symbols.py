"""FUTU_SYMBOLS: what is understood, and what is said when it is not."""

from pathlib import Path

import pytest

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.symbols import FILE_BYTES_MAX, SYMBOLS_MAX, SymbolSpec, check_symbols, read_symbols, symbols_of


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fault(text: str) -> str:
    """The one line with which this list is refused."""
    with pytest.raises(ConfigError) as caught:
        read_symbols(text, where=" (environment)")
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_codes_are_separated_by_commas_and_any_white_space() -> None:
    """Order is kept, a code that comes twice is there once, lower case is understood."""
    assert read_symbols(" HK.00700,hk.00005\nHK.00700\t,, HK.09988 ") == SymbolSpec(
        ("HK.00700", "HK.00005", "HK.09988")
    )


def test_plates_are_kept_apart_for_the_client() -> None:
    """A plate is named, not resolved; numbered plates are upper case, named ones keep their case."""
    spec = read_symbols("plate:hk.bk1910 HK.00700 PLATE:HK.BK1910 plate:HK.Motherboard")
    assert spec == SymbolSpec(("HK.00700",), ("HK.BK1910", "HK.Motherboard"))


WRITTEN = (
    "700", "0700", "00700", "00700.HK", "0700.hk", "HK.700", "hk.00700", "HK00700", "HK:0700", "HK-700",
    "\uff17\uff10\uff10", "\uff28\uff2b\uff0e\uff10\uff10\uff17\uff10\uff10", "HK\uff1a00700",
)  # fmt: skip


@pytest.mark.parametrize("entry", WRITTEN)
def test_a_code_may_be_written_in_any_usual_form(entry: str) -> None:
    """As other programs and people in a hurry write it, also with the full-width characters of a Chinese keyboard."""
    assert check_symbols(entry) == entry
    assert read_symbols(entry) == SymbolSpec(("HK.00700",))
    assert symbols_of([entry]) == ("HK.00700",)


@pytest.mark.parametrize("between", ["\uff0c", "\u3001", "\u3000", " , ", "\n"])
def test_commas_of_a_chinese_keyboard_separate_codes(between: str) -> None:
    """As do its blanks, which look like ours."""
    text = f"HK.00700{between}HK.09988"
    assert check_symbols(text) == text
    assert read_symbols(text) == SymbolSpec(("HK.00700", "HK.09988"))


@pytest.mark.parametrize("entry", ["BK1910", "HK.BK1910", "plate:BK1910"])
def test_a_plate_without_its_prefix_gets_the_right_spelling(entry: str) -> None:
    """Whether a stock or a plate is meant has to be clear."""
    with pytest.raises(ValueError, match="did you mean") as caught:
        check_symbols(entry)
    assert str(caught.value).endswith("did you mean plate:HK.BK1910?")
    assert str(caught.value).startswith(repr(entry))


@pytest.mark.parametrize("entry", ["US.AAPL", "SH.600519", "sz.000001", "AAPL.US", "JP.7203", "7203.T"])
def test_other_markets_are_refused_as_such(entry: str) -> None:
    """This recorder records Hong Kong only, and says so."""
    assert f"{entry!r} is of another market: this recorder records Hong Kong only" in fault(entry)


@pytest.mark.parametrize(
    "entry", ["HK.800000", "HK.", "AAPL", "HK.0070O", '["HK.00700"]', "HK.00700;HK.00005", "plate:", "\u0663"]
)
def test_anything_else_says_what_is_expected(entry: str) -> None:
    """The entry is shown with what was expected."""
    message = fault(entry)
    assert repr(entry) in message
    assert "expected" in message


def test_of_many_wrong_entries_the_first_three_are_told() -> None:
    """A wrong file of 2,000 lines does not make a line of 100 kB."""
    message = fault(" ".join(f"X{number}" for number in range(50)))
    assert "'X0'" in message
    assert "'X2'" in message
    assert "'X3'" not in message
    assert message.endswith(", and 47 more")
    assert len(fault("Y" * 9999)) < 200


def test_a_file_holds_one_code_a_line_with_comments(tmp_path: Path) -> None:
    """Comments, blank lines, CRLF, a byte order mark and plates are understood; entries around the file count too."""
    (tmp_path / "list.txt").write_bytes(
        b"\xef\xbb\xbf# mine\r\nHK.00005 # HSBC\r\n\r\n  hk.00700\r\nplate:HK.BK1910\r\n"
    )
    spec = read_symbols("HK.09988 @list.txt HK.00005")
    assert spec == SymbolSpec(("HK.09988", "HK.00005", "HK.00700"), ("HK.BK1910",))


@pytest.mark.parametrize(
    "text",
    [
        "@my lists/all of them.txt",
        "HK.09988 @my lists/all of them.txt HK.00011",
        "@my lists/all of them.txt,HK.00011",
        "@my lists/all of them.txt\nHK.00011",
        "@my lists/all of them.txt @other.txt",
        "@my lists/all of them.txt plate:HK.BK1910",
    ],
)
def test_the_path_of_a_file_may_have_blanks(text: str, tmp_path: Path) -> None:
    """It ends before a comma, the line's end, and whatever is an entry of its own."""
    (tmp_path / "my lists").mkdir()
    (tmp_path / "my lists" / "all of them.txt").write_text("HK.00700\n")
    (tmp_path / "other.txt").write_text("HK.00011\n")
    assert check_symbols(text) == text
    spec = read_symbols(text)
    assert "HK.00700" in spec.symbols
    assert ("HK.09988" in spec.symbols) is ("09988" in text)
    assert ("HK.00011" in spec.symbols) is ("11" in text or "other" in text)
    assert spec.plates == (("HK.BK1910",) if "plate" in text else ())
    assert symbols_of(["@my lists/all of them.txt"]) == ("HK.00700",)


def test_a_missing_file_is_named_with_its_blanks() -> None:
    """So that a misspelt code after it can be seen, too."""
    assert "cannot read file 'my list.txt HK.7OO': No such file or directory" in fault("@my list.txt HK.7OO")
    with pytest.raises(ValueError, match="'@' names no file"):
        check_symbols("@ list.txt")


def test_a_wrong_code_in_a_file_names_file_and_line(tmp_path: Path) -> None:
    """The operator is led to the line."""
    (tmp_path / "list.txt").write_text("HK.00005\nHK.7OO\n@other\n")
    assert fault("@list.txt") == (
        "FUTU_SYMBOLS (environment): 'HK.7OO' is not a stock code, expected up to five digits, such as 700 or HK.00700 "
        "(list.txt line 2), "
        "'@other' inside a symbol file: a file can't name another (list.txt line 3)"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot read file 'list.txt': No such file or directory; check the path, relative to the "),
        (b"", "file 'list.txt' holds no code, expected one per line, such as HK.00700"),
        (b"# nothing\n", "file 'list.txt' holds no code"),
        (b"\xff\xfe", "cannot read file 'list.txt': it is not UTF-8 text"),
        (b"#" * (FILE_BYTES_MAX + 1), f"cannot read file 'list.txt': it is larger than {FILE_BYTES_MAX} bytes"),
    ],
)
def test_a_file_that_gives_nothing_is_one_line(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """Missing, empty, binary or endless: one line that names the file."""
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    assert fault("HK.00700 @list.txt").startswith(f"FUTU_SYMBOLS (environment): {expected}")


@pytest.mark.parametrize("path", ["@a\0b", "@~no-such-user/x"])
def test_a_path_that_is_none_is_one_line(path: str) -> None:
    """What Python refuses before the system is asked is told alike."""
    assert "cannot read file" in fault(path)


def test_at_sign_alone_names_no_file() -> None:
    """`@` is a slip that is told without touching the disk."""
    with pytest.raises(ValueError, match="names no file"):
        check_symbols("HK.00700 @")


@pytest.mark.parametrize("text", ["", " ,\n"])
def test_nothing_to_record_is_one_line(text: str) -> None:
    """An empty list is never retried for ever: it is told with an example."""
    assert fault(text).startswith("FUTU_SYMBOLS (environment) is empty: expected at least one code, such as ")
    assert check_symbols(text) == text


def test_more_than_any_quota_is_refused(tmp_path: Path) -> None:
    """2,000 symbols pass; one more could never be subscribed. Doubles and plates do not count."""
    codes = [f"HK.{number:05}" for number in range(SYMBOLS_MAX)]
    assert len(read_symbols(" ".join([*codes, codes[0], "plate:HK.BK1910"])).symbols) == SYMBOLS_MAX
    expected = "2001 symbols, expected at most 2000"
    assert expected in fault(" ".join([*codes, "HK.99999"]))
    with pytest.raises(ValueError, match=expected):
        check_symbols(" ".join([*codes, "HK.99999"]))
    (tmp_path / "list.txt").write_text("\n".join(codes))
    assert expected in fault("HK.99999 @list.txt")


def test_a_spec_is_a_value() -> None:
    """Equal content is equal, and it can be a key."""
    assert len({SymbolSpec(("HK.00700",)), SymbolSpec(("HK.00700",))}) == 1


def test_an_option_names_codes_and_files_of_them(tmp_path: Path) -> None:
    """Repeated, as a list, or as a file; each code once, in the order written."""
    (tmp_path / "list.txt").write_text("5 # HSBC\n")
    assert symbols_of(["9988, 700", "@list.txt", "HK.00700"]) == ("HK.09988", "HK.00700", "HK.00005")
    assert symbols_of([]) == ()


@pytest.mark.parametrize("entries", [[""], [" , "], ["", ""]])
def test_an_option_that_names_no_code_does_not_mean_all(entries: list[str]) -> None:
    """It may be an empty variable of a script."""
    with pytest.raises(ConfigError, match=r"^--symbol names no code, expected one such as HK\.00700$"):
        symbols_of(entries)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("xx", "--symbol: 'xx' is not a stock code, expected up to five digits, such as 700 or HK.00700"),
        ("123456", "--symbol: '123456' is not a stock code, expected up to five digits, such as 700 or HK.00700"),
        ("plate:HK.BK1910", "--symbol: 'plate:HK.BK1910' is a plate, expected a stock code such as HK.00700"),
        ("US.AAPL", "--symbol: 'US.AAPL' is of another market: this recorder records Hong Kong only, such as HK.00700"),
    ],
)
def test_an_option_without_a_code_is_one_line(written: str, said: str) -> None:
    """It names the option, what was seen and what was expected."""
    with pytest.raises(ConfigError) as caught:
        symbols_of([written])
    assert str(caught.value) == said
