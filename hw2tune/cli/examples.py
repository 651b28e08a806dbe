"""Two examples or more of each command, for its --help and for docs/cli.md: a new command is one entry here."""

from __future__ import annotations

Example = tuple[str, str]  # what is typed, and what it does

EXAMPLES: dict[str, tuple[Example, ...]] = {
    "study": (
        ("hw2tune study quickstart --summarize", "12 trials on 5,000 images of MNIST, then the report"),
        ("hw2tune study mnist --trials 50", "search on to 50 trials in all; again after Ctrl-C"),
        ("hw2tune study mine.toml --time-budget 8h --quiet", "a study of your own, over night"),
    ),
    "check": (
        ("hw2tune check mine.toml", "every fault of a study file at once, and what it would cost"),
        ("hw2tune check cifar10 --budget 6 --concurrency 2", "the same with options, as `study` takes them"),
    ),
    "new": (
        ("hw2tune new mine", "mine.toml and mine_net.py, both commented"),
        ("hw2tune new flowers --images ./flowers", "a study of images in a folder for each class"),
    ),
    "status": (
        ("hw2tune status", "all studies, one line each"),
        ("hw2tune status quickstart --watch", "every trial, drawn again every two seconds until it ends"),
        ("hw2tune status quickstart --format csv > trials.csv", "every trial with raw numbers"),
    ),
    "stop": (
        ("hw2tune stop mnist", "end it in order; the command that it prints goes on"),
        ("hw2tune stop mnist --now", "do not wait for the epochs under way"),
    ),
    "clean": (
        ("hw2tune clean", "what can go of all studies and of this machine; then asks"),
        ("hw2tune clean mnist --only last-checkpoints --yes", "one kind of one study, for a script"),
    ),
    "dashboard": (
        ("hw2tune dashboard --open", "all studies in the browser, also while they run"),
        ("hw2tune dashboard mnist --port 8080", "one study, at an address that stays"),
    ),
    "summarize": (
        ("hw2tune summarize mnist --replicates 3 --open", "train on three seeds, test, open the page"),
        ("hw2tune summarize mnist cifar10", "two studies on one page"),
        ("hw2tune summarize --from-files ./copied/mnist", "redraw from a copied folder; trains nothing"),
    ),
    "reproduce": (
        ("hw2tune reproduce mnist", "the published runs, published numbers beside repeated ones"),
        ("hw2tune reproduce cifar10 --max-epochs 2 --replicates 1", "a short try, in a folder of its own"),
    ),
    "compare": (
        ("hw2tune compare mnist mnist-wide", "two studies of the same images, variant by variant"),
        ("hw2tune compare mnist mnist-wide --json", "the same for a program"),
    ),
    "export": (
        ("hw2tune export mnist --to model.onnx", "the race's winner, its card, and a script that predicts"),
        ("hw2tune export mnist --variant l2 --seed 2 --to l2.pt2", "one replicate, for torch.export.load"),
    ),
    "predict": (
        ("hw2tune predict mnist digit.png", "class and confidence of an image of any size"),
        ("hw2tune predict mnist *.jpg --top 3 --json", "the three likeliest classes of many, for a program"),
    ),
    "rerun": (
        ("hw2tune rerun mnist 7", "whether trial 7 comes out the same to the last digit"),
        ("hw2tune rerun mnist 7 --seed 1", "the same configuration on another seed, beside it"),
    ),
    "doctor": (
        ("hw2tune doctor", "what would stand in a study's way; exit code 1 where something does"),
        ("hw2tune doctor --machine --json", "what there is here, for an issue or a script"),
    ),
    "data": (
        ("hw2tune data", "the data sets, and where each was found"),
        ("hw2tune data --data-dir ./data --format csv", "the same with a folder that is looked into first"),
    ),
    "data fetch": (
        ("hw2tune data fetch mnist", "into the cache, verified"),
        ("hw2tune data fetch cifar10 --data-dir ./data", "into a folder of yours"),
    ),
}

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "something that can be mended, said in one line on stderr",
    2: "a command that was not understood",
    3: "every trial of the study failed",
    130: "interrupted: Ctrl-C, a closed terminal or a scheduler's signal; the same command continues",
}
STREAMS = "Results are printed on stdout, progress and errors on stderr."
