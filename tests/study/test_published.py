"""The published numbers as the package ships them."""

from hw2tune.study.published import published_epochs


def test_the_published_runs_have_the_epochs_that_are_printed():
    assert [epoch.epoch for epoch in published_epochs("mnist", "l2")] == [1, 2, 3, 4, 5]
    assert [epoch.epoch for epoch in published_epochs("cifar10", "baseline")] == [*range(1, 26), *range(32, 36)]
    assert published_epochs("mnist-5k", "baseline") == ()


def test_the_last_epochs_say_what_the_report_says():
    mnist, cifar10 = published_epochs("mnist", "baseline")[-1], published_epochs("cifar10", "baseline")[-1]
    assert (mnist.train_loss, mnist.validation_accuracy, mnist.test_accuracy) == (1.5427, 0.9652, 0.9656)
    assert round(cifar10.test_accuracy, 4) == 0.9041
    assert cifar10.test_total == 50_000  # the training images
    assert cifar10.validation_accuracy is None
