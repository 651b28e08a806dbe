"""Thresholds of the study doctor, with their reasons. They were fixed before any study or fault was tried on them."""

# Edges. Five trials drawn evenly have four in the same 5 % of a range with a probability of 3e-5. FALSE_EDGE is the
# largest such probability that still counts: with ten hyperparameters of two edges each, it allows 2 % false alarms
# for even draws. It decides alone for choices and whole numbers, where an end has a share of 1/n: 4 of 5 needs n >= 9,
# 5 of 5 n >= 4.
BEST = 5  # trials that are looked at
AT_EDGE = 4  # of them, at least
EDGE = 0.05  # of the range, in the search's own scale
FALSE_EDGE = 0.001
FEWEST_TRIALS = 10  # that have a value: the best five are then at most half of them

# Dead zones and failing corners: a part of the space in which no trial, or no trial but failed ones, got anywhere.
# A fifth of the trials is the least worth a change of the space: without it a search has a quarter more trials.
# Failed trials cost less (they end early) but hide an edge, so a tenth is enough. FALSE_ZONE is for Fisher's exact
# test of the zone against the rest, times the number of zones that were tried. Whether a training fails depends on
# other values and on luck, too: a corner reaches as far as two of three more fail, and four of five fail in all.
DEAD_SHARE = 0.20  # of the trials
FAILED_SHARE = 0.10
FEWEST_IN_ZONE = 4
FALSE_ZONE = 0.01
BAD_PER_GOOD = 2  # that fail, for each that does not
GOOD_IN_CORNER = 0.2  # of the trials of a corner that fails
CHANCE_ERRORS = 3.0  # standard errors of the validation images above 1/classes that still are chance

# Overtuning. The best of many values always falls; it matters if the search's value lies above the 95 % interval of
# the fresh seeds and at least half of the promised gain over the best reference was luck.
LOST_GAIN = 0.5
FRESH_SEEDS = 3  # fewer have no useful interval

# Stopping. With a rank correlation of 0.5 between a rung and the end, the best of nine trials is not among the best
# three at the rung more than one time in three. The upper 95 % limit must lie below it, as few trials reach the end.
CORRELATION = 0.5
FEWEST_TO_THE_END = 8
FALSE_SCHEDULE = 0.01  # Fisher's exact test of a schedule that never passed a rung, times schedules and rungs

# Budget. Two trials per hyperparameter: fewer have not even both ends of every axis. The curve is still rising if the
# second half of the trials adds more than the smallest difference that matters, 50 / sqrt(validation images) points.
TRIALS_PER_HYPERPARAMETER = 2

# Test reads: `records.reads.MANY`, 20 configurations. The best of 20 is 1.9 standard errors of the test images too good
# by luck (the mean of the largest of 20 normal values).

# Claims. Smallest true difference, in standard deviations of the paired differences, that a study detects with 80 %
# power after correction for its claims. Above three, only differences that nobody needs a test for can be detected.
DETECTABLE = 3.0
