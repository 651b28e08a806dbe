"""The unit of a claim: trainings of one configuration on several seeds, kept under keys."""
