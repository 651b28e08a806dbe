"""The user's modules, read as text: what is found, and what is refused."""

import pytest

from hw2tune.user_code.files import code_digest, flat, read_code, reference_error


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("net.py:Wide", None),
        ("../nets/net.py:Wide", None),
        ("torchvision.models:resnet18", None),
        ("net.py:", "behind the colon there must be a name, as in net.py:Wide"),
        ("net.py:my net", "behind the colon there must be a name, as in net.py:Wide"),
        ("my-net.py:Wide", "my-net.py cannot be imported: a module's name is of letters, digits and `_`"),
        ("torch.py:Wide", "torch.py has the name of a package that training imports; call it something else"),
        ("random.py:Wide", "random.py has the name of a package that training imports; call it something else"),
        ("a b.c:Wide", "before the colon there must be a file.py or a package.module"),
    ],
)
def test_a_reference_is_refused_by_its_form(text, wrong):
    assert reference_error(text) == wrong


def test_a_file_comes_with_all_that_it_imports_from_beside_it(tmp_path):
    (tmp_path / "net.py").write_text("import math\nimport layers\nfrom parts.more import x\nclass Wide: pass\n")
    (tmp_path / "layers.py").write_text("import net  # in a circle\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "more.py").write_text("x = 1\n")
    (tmp_path / "math.py").write_text("raise SystemExit\n")  # Python's own counts
    (tmp_path / "unused.py").write_text("")
    code, faults = read_code({"model": "net.py:Wide"}, tmp_path)
    assert faults == []
    assert sorted(code) == ["layers.py", "net.py", "parts/__init__.py", "parts/more.py"]
    changed = code | {"layers.py": "y = 2\n"}
    assert code_digest(code) != code_digest(changed) == code_digest(dict(sorted(changed.items())))


def test_a_folder_without_init_comes_along_as_python_would_import_it(tmp_path):
    (tmp_path / "net.py").write_text("from blocks.conv import conv\nimport numpy\nimport yaml\nclass Wide: pass\n")
    for file in ("blocks/conv.py", "blocks/deep/more.py", "numpy/a.py", "pytest/b.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("import pytest\n")  # which is installed, and comes before the folder
    code, faults = read_code({"model": "net.py:Wide"}, tmp_path)
    assert (faults, sorted(code)) == ([], ["blocks/conv.py", "blocks/deep/more.py", "net.py"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = " + "-" * 200_000 + "1\n", "model: {0}/net.py is nested too deeply to be parsed"),
        ("x = " + "(" * 150 + ")" * 150 + "\n", "model: {0}/net.py defines no 'Wyde'"),
        ("class Wide: pass\n", "model: {0}/net.py defines no 'Wyde'; did you mean `Wide`?"),
        ("def f(:\n", "model: {0}/net.py, line 1: invalid syntax"),
        (None, "model: there is no file {0}/net.py"),
        ("import broken\nWyde = 1\n", "model: {0}/broken.py, line 2: unexpected indent"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(tmp_path, text, fault):
    (tmp_path / "broken.py").write_text("\n  x = 1\n")
    if text is not None:
        (tmp_path / "net.py").write_text(text)
    assert read_code({"model": "net.py:Wyde"}, tmp_path)[1] == [fault.format(tmp_path)]


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(f"def f(): return '{folder}'\n")
    faults = read_code({"model": "a/net.py:f", "dataset": "b/net.py:f"}, tmp_path)[1]
    assert faults == ["dataset: two files are called net.py; call one of them something else"]
    assert flat("a/net.py:f") == "net.py:f"
