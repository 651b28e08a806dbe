import csv
import io
import json

import pytest
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.data.load import fetch_dataset, list_datasets, load_dataset
from hw2tune.errors import DataError

LAYOUTS = {
    "mnist": "{0}/MNIST/raw/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte (or .gz), "
    "or as {0}/mnist/{{train,test}}/<class>/*.png or *.jpg",
    "cifar10": "{0}/cifar-10-batches-py/{{data_batch_1,...,data_batch_5,test_batch}}, "
    "or as {0}/cifar10/{{train,test}}/<class>/*.png or *.jpg",
}


@pytest.mark.parametrize(("name", "title"), [("mnist", "MNIST"), ("cifar10", "CIFAR-10")])
def test_a_data_set_that_is_nowhere_is_told_with_three_ways_out(tmp_path, cache, name, title):
    with pytest.raises(DataError) as error:
        load_dataset(name, data_dir=tmp_path, download=False)
    assert str(error.value) == (
        f"{name}: no copy of {title} in {tmp_path}, {cache}/data, and downloading is off. "
        f"Put the files at {LAYOUTS[name].format(tmp_path)}; "
        "or use --data-dir or HW2TUNE_DATA with the folder that has them; "
        f"or connect to the internet and run `hw2tune data fetch {name}`."
    )


def test_the_named_folder_wins_over_the_environment(image_folder, monkeypatch, tmp_path):
    root = image_folder("mnist")
    (tmp_path / "env/MNIST/raw").mkdir(parents=True)
    (tmp_path / "env/MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    monkeypatch.setenv("HW2TUNE_DATA", str(tmp_path / "env"))
    assert load_dataset("mnist", data_dir=root, validation_size=10).source == str(root / "mnist")


def test_the_environment_serves_what_the_named_folder_has_not(image_folder, monkeypatch, tmp_path):
    root = image_folder("mnist")
    monkeypatch.setenv("HW2TUNE_DATA", str(root))
    assert load_dataset("mnist", data_dir=tmp_path / "empty", validation_size=10).source == str(root / "mnist")


def test_the_cache_is_searched_last(image_folder, cache):
    (cache / "data").parent.mkdir()
    image_folder("mnist").rename(cache / "data")
    assert load_dataset("mnist", validation_size=10).source == str(cache / "data/mnist")


def test_the_published_files_win_over_an_image_folder_in_the_same_root(fake_mnist, image_folder):
    image_folder("mnist")
    with pytest.raises(DataError, match="MNIST/raw"):
        load_dataset("mnist", data_dir=fake_mnist, validation_size=10)


def test_a_validation_size_that_does_not_fit_a_small_copy_is_refused(image_folder):
    with pytest.raises(DataError) as error:
        load_dataset("mnist", data_dir=image_folder("mnist"))
    assert str(error.value) == (
        "validation_size: must be 0 or 10 to 20, so that train and validation have images of each class, but got 5,000."
    )


def test_the_list_has_every_data_set_and_says_how_to_get_what_is_missing(image_folder):
    root = image_folder("cifar10")
    seen = {status.name: (status.found, status.problem) for status in list_datasets(data_dir=root)}
    assert seen == {
        "mnist": (False, "not on disk: run `hw2tune data fetch mnist`"),
        "cifar10": (True, None),
        **{
            name: (False, f"not on disk: run `hw2tune data fetch {name}`")
            for name in ("fashion-mnist", "kmnist", "emnist-digits")
        },
        "digits": (True, None),
        "mnist-5k": (True, None),
        "synthetic-mnist": (True, None),
        "synthetic-cifar10": (True, None),
    }


def test_fetching_what_is_there_verifies_and_names_it(image_folder):
    root = image_folder("cifar10")
    assert fetch_dataset("cifar10", data_dir=root) == root / "cifar10"
    (root / "cifar10/test/dog/0000.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"dog/0000\.png"):
        fetch_dataset("cifar10", data_dir=root)


def test_there_is_nothing_to_fetch_of_synthetic_images():
    with pytest.raises(DataError) as error:
        fetch_dataset("synthetic-mnist")
    assert str(error.value) == "synthetic-mnist: nothing to fetch, its images are made on the spot."


def test_json_and_csv_say_of_each_data_set_whether_it_is_found(tmp_path):
    as_json, as_csv = (CliRunner().invoke(app, ["data", "--format", form]).stdout for form in ("json", "csv"))
    for rows in (json.loads(as_json), list(csv.DictReader(io.StringIO(as_csv)))):
        assert list(rows[0]) == ["name", "title", "found", "source", "problem"]
        assert {row["name"]: str(row["found"]).lower() for row in rows}["synthetic-mnist"] == "true"
